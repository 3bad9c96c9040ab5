import { AppError } from "../../core/errors.ts";

/** A token that may come next, with its logit. */
export interface Candidate {
  readonly token: number;
  readonly logit: number;
}

/** log Σ exp(logit): a logit less this is the token's log-probability. Throws AppError MODEL_FAILED where the logits are not numbers. */
export function logNormalizer(logits: Float32Array): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const logit of logits) if (logit > largest) largest = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  const normalizer = largest + Math.log(sum);
  if (Number.isFinite(normalizer)) return normalizer;
  throw new AppError("MODEL_FAILED", "The model computed something that is not a number.", { fix: "Use another precision of the model." });
}

/** The `count` largest logits, largest first and lower token first among equals, in one pass; -Infinity is never one of them. */
export function largestLogits(logits: Float32Array, count: number): Candidate[] {
  const tokens = new Int32Array(count);
  const values = new Float32Array(count).fill(Number.NEGATIVE_INFINITY);
  let least = Number.NEGATIVE_INFINITY;
  for (let token = 0; token < logits.length; token += 1) {
    const logit = logits[token] ?? least;
    if (!(logit > least)) continue;
    let place = count - 1;
    for (; place > 0 && logit > (values[place - 1] ?? logit); place -= 1) {
      values[place] = values[place - 1] ?? 0;
      tokens[place] = tokens[place - 1] ?? 0;
    }
    values[place] = logit;
    tokens[place] = token;
    least = values[count - 1] ?? least;
  }
  return Array.from(values, (logit, i) => ({ token: tokens[i] ?? 0, logit })).filter(({ logit }) => logit > Number.NEGATIVE_INFINITY);
}

/** Sets to -Infinity every token that would repeat a run of `size` tokens of the sequence; size 0 allows all. */
export function banRepeatedNgrams(logits: Float32Array, sequence: readonly number[], size: number): void {
  if (size === 0) return;
  const tail = sequence.length - size + 1; // where the last size - 1 tokens begin
  for (let start = 0; start < tail; start += 1) {
    let matched = 0;
    while (matched < size - 1 && sequence[start + matched] === sequence[tail + matched]) matched += 1;
    const follower = sequence[start + size - 1];
    if (matched === size - 1 && follower !== undefined) logits[follower] = Number.NEGATIVE_INFINITY;
  }
}
