import { AppError } from "../../core/errors.ts";
import { exponential } from "./exponential.ts";

/** A token that may come next, with its logit. */
export interface Candidate {
  readonly token: number;
  readonly logit: number;
}

/** What the logits after one beam say. */
export interface Outlook {
  /** The likeliest tokens, likeliest first and the lower token first among equals. */
  readonly candidates: readonly Candidate[];
  /**
   * log Σ exp(logit) over all logits, banned ones included: a logit less this is the token's
   * log-probability.
   */
  readonly normalizer: number;
}

/**
 * The `count` largest of the logits, and their normalizer, in one pass. A token that is `banned`,
 * or not below `end`, counts in the normalizer but is no candidate; nor is one of logit -Infinity.
 * Sets the logits of banned tokens to -Infinity. Throws AppError MODEL_FAILED where the logits are
 * not numbers.
 */
export function outlookOf(
  logits: Float32Array,
  {
    count,
    end = logits.length,
    banned = [],
  }: { count: number; end?: number; banned?: readonly number[] },
): Outlook {
  const bannedLogits = banned.flatMap((token) => takeAway(logits, token));
  const tokens = new Int32Array(count);
  const values = new Float32Array(count).fill(Number.NEGATIVE_INFINITY);
  let least = Number.NEGATIVE_INFINITY;
  let largest = Number.NEGATIVE_INFINITY;
  let sum = 0; // Σ exp(logit - largest) so far
  for (let token = 0; token < logits.length; token += 1) {
    const logit = logits[token] ?? least;
    if (logit > largest) {
      sum = sum * exponential(largest - logit) + 1;
      largest = logit;
    } else if (logit !== Number.NEGATIVE_INFINITY) {
      sum += exponential(logit - largest);
    }
    if (!(logit > least) || token >= end) continue;
    let place = count - 1;
    for (; place > 0 && logit > (values[place - 1] ?? logit); place -= 1) {
      values[place] = values[place - 1] ?? 0;
      tokens[place] = tokens[place - 1] ?? 0;
    }
    values[place] = logit;
    tokens[place] = token;
    least = values[count - 1] ?? least;
  }
  const normalizer = normalizerOf([...bannedLogits, largest + Math.log(sum)]);
  const candidates = Array.from(values, (logit, i) => ({ token: tokens[i] ?? 0, logit }));
  return {
    normalizer,
    candidates: candidates.filter(({ logit }) => logit > Number.NEGATIVE_INFINITY),
  };
}

function takeAway(logits: Float32Array, token: number): number[] {
  const logit = logits[token];
  if (logit === undefined || logit === Number.NEGATIVE_INFINITY) return []; // none of these logits, or taken away before
  logits[token] = Number.NEGATIVE_INFINITY;
  return [logit];
}

/** log Σ exp of a few logarithms. */
function normalizerOf(logarithms: readonly number[]): number {
  const largest = Math.max(...logarithms.filter((each) => each !== Number.NEGATIVE_INFINITY));
  const normalizer =
    largest + Math.log(logarithms.reduce((sum, each) => sum + Math.exp(each - largest), 0));
  if (Number.isFinite(normalizer)) return normalizer;
  throw new AppError("MODEL_FAILED", "The model computed something that is not a number.", {
    fix: "Use another precision of the model.",
  });
}
