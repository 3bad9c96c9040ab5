import type { AnswerToken, RawAnswer } from "../../../schema/answer.ts";

/** An answer of which each token has a probability of its own. */
export function answerOf(
  ...tokens: readonly (readonly [text: string, probability: number])[]
): RawAnswer {
  return {
    text: tokens.map(([text]) => text).join(""),
    tokens: tokens.map(
      ([text, probability]): AnswerToken => ({ text, logProbability: Math.log(probability) }),
    ),
    finish: "END",
  };
}

/** Location tokens of one probability. */
export function located(probability: number, ...bins: readonly number[]): [string, number][] {
  return bins.map((bin) => [`<loc_${bin}>`, probability]);
}

/** An answer of which only the text matters. */
export function certain(text: string): RawAnswer {
  return answerOf([text, 1]);
}
