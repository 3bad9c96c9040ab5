import { boxesOf, matchBoxes } from "./boxes.ts";
import type { Observation, ObservedAnswer } from "./observe.ts";

/**
 * How far two models agree, 1 throughout for one and the same. Shares and agreements are 0 to 1;
 * null stands where nothing could be compared.
 */
export interface Agreement {
  readonly images: number;
  readonly questions: number;
  /**
   * Mean over the questions of 1 - d / n: d tokens must be inserted, deleted or replaced to make
   * one answer the other, n is the longer one's.
   */
  readonly tokenAgreement: number;
  /** Share of the questions that have the same text as their answer, character by character. */
  readonly exactAnswers: number;
  /** The same among captions. */
  readonly equalCaptions: number | null;
  /**
   * Sum of the IoUs of matched boxes ÷ the number of boxes, of the answer that has more of them: a
   * box without a partner counts 0.
   */
  readonly boxIou: number | null;
  /**
   * Largest difference of two image features ÷ the largest feature, of the image where this is
   * worst; null where they have different shapes.
   */
  readonly featureError: number | null;
}

/** Compares what two models observed of the same images, asked the same questions. */
export function agreementOf(
  first: readonly Observation[],
  second: readonly Observation[],
): Agreement {
  const answers = pairs(first, second).flatMap(([a, b]) => pairs(a.answers, b.answers));
  const errors = pairs(first, second).map(([a, b]) => featureError(a.features, b.features));
  return {
    images: first.length,
    questions: answers.length,
    tokenAgreement: mean(answers.map(([a, b]) => tokenAgreement(textsOf(a), textsOf(b)))) ?? 1,
    exactAnswers: mean(answers.map(equalTexts)) ?? 1,
    equalCaptions: mean(answers.filter(([a]) => a.task === "CAPTION").map(equalTexts)),
    boxIou: boxIou(answers),
    featureError: errors.reduce(
      (worst, error) => (worst === null || error === null ? null : Math.max(worst, error)),
      0,
    ),
  };
}

/** 1 - edit distance / length of the longer list; 1 for two empty ones. */
export function tokenAgreement(a: readonly string[], b: readonly string[]): number {
  const longer = Math.max(a.length, b.length);
  return longer === 0 ? 1 : 1 - editDistance(a, b) / longer;
}

function editDistance(a: readonly string[], b: readonly string[]): number {
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (const [i, token] of a.entries()) {
    const row = [i + 1];
    for (const [k, other] of b.entries()) {
      const replaced = (above[k] ?? 0) + (token === other ? 0 : 1);
      row.push(Math.min(replaced, (above[k + 1] ?? 0) + 1, (row[k] ?? 0) + 1));
    }
    above = row;
  }
  return above[b.length] ?? 0;
}

function featureError(a: Float32Array, b: Float32Array): number | null {
  if (a.length !== b.length) return null;
  let difference = 0;
  let largest = 0;
  for (const [i, value] of a.entries()) {
    difference = Math.max(difference, Math.abs(value - (b[i] ?? 0)));
    largest = Math.max(largest, Math.abs(value));
  }
  return difference === 0 ? 0 : difference / largest;
}

function boxIou(answers: readonly (readonly [ObservedAnswer, ObservedAnswer])[]): number | null {
  let [sum, count] = [0, 0];
  for (const [a, b] of answers) {
    const [ours, theirs] = [boxesOf(a.result) ?? [], boxesOf(b.result) ?? []];
    for (const iou of matchBoxes(ours, theirs)) sum += iou;
    count += Math.max(ours.length, theirs.length);
  }
  return count === 0 ? null : sum / count;
}

function equalTexts([a, b]: readonly [ObservedAnswer, ObservedAnswer]): number {
  return a.text === b.text ? 1 : 0;
}

function textsOf({ tokens }: ObservedAnswer): string[] {
  return tokens.map(({ text }) => text);
}

function pairs<Item>(a: readonly Item[], b: readonly Item[]): (readonly [Item, Item])[] {
  return a.flatMap((item, i) => {
    const other = b[i];
    return other === undefined ? [] : [[item, other] as const];
  });
}

function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}
