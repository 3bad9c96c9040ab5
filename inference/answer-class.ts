import type { SightPrompt } from "../core/ports.ts";
import { plainPrompts } from "../schema/prompts.ts";

/**
 * What an answer will be like: a few words, a text of any length, or places. Calls of one class
 * share batches, so that none waits for much longer ones.
 */
export type AnswerClass = "short" | "long" | "located";

/** An answer that is cut after so many tokens is short, whatever it says. */
const shortTokensMax = 24;

/**
 * The class of questions that are answered together: that of all of them, or "long" where they
 * differ.
 */
export function answerClass(prompts: readonly SightPrompt[]): AnswerClass {
  const classes = new Set(prompts.map(classOf));
  const [first = "long"] = classes;
  return classes.size === 1 ? first : "long";
}

const longPrompts: ReadonlySet<string> = new Set([
  plainPrompts["<DETAILED_CAPTION>"],
  plainPrompts["<MORE_DETAILED_CAPTION>"],
  plainPrompts["<OCR>"],
]);
/** An answer about a region may give its place too, but is a few words for the most part. */
const aboutRegion = /^What (?:is|does|text is in) the region </;

function classOf({ prompt, locationGroup, options }: SightPrompt): AnswerClass {
  if ((options.maxTokens ?? Number.POSITIVE_INFINITY) <= shortTokensMax || aboutRegion.test(prompt))
    return "short";
  if (locationGroup !== null) return "located";
  return longPrompts.has(prompt) ? "long" : "short";
}
