/** What a model said to one prompt, and what the grammars read out of it. */

/** One token of an answer: the text it adds and the natural logarithm of its probability. */
export interface AnswerToken {
  readonly text: string;
  readonly logProbability: number;
}

/** END: the model ended its answer. LENGTH: it was cut off at the token limit. */
export type Finish = "END" | "LENGTH";

/**
 * A raw answer. `text` is the decoded answer with its location tokens, without `<s>`, `</s>` and
 * `<pad>`; the texts of `tokens`, joined, are exactly `text`.
 */
export interface RawAnswer {
  readonly text: string;
  readonly tokens: readonly AnswerToken[];
  readonly finish: Finish;
}

/** A stretch of the raw text, in UTF-16 code units, end exclusive. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/**
 * exp(mean log-probability) of the tokens that touch any of the spans: 0 to 1, and 0 where no token
 * does. A location's certainty is that of the location tokens; a text's that of all its tokens.
 */
export function scoreOf(tokens: readonly AnswerToken[], spans: readonly Span[]): number {
  let sum = 0;
  let count = 0;
  let start = 0;
  for (const token of tokens) {
    const end = start + token.text.length;
    if (spans.some((span) => start < span.end && end > span.start)) {
      sum += token.logProbability;
      count += 1;
    }
    start = end;
  }
  return count === 0 ? 0 : Math.exp(sum / count);
}
