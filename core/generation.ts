import type { GenerateOptions } from "../schema/task.ts";
import { optionBounds } from "../schema/tasks/input.ts";

/** Generation options with none left open. */
export type FullOptions = { readonly [Name in keyof GenerateOptions]-?: number };

/** What the reference does where nobody says anything: 3 beams, no three tokens twice. */
export const referenceOptions: FullOptions = {
  beams: 3,
  maxTokens: optionBounds.maxTokens.max,
  noRepeatNgramSize: 3,
  lengthPenalty: 1,
};

/**
 * Fills the options that are open from others, the first word that was said counting, and in the
 * end from the reference's.
 */
export function fillOptions(...said: readonly GenerateOptions[]): FullOptions {
  const first = (name: keyof GenerateOptions) =>
    said.map((options) => options[name] ?? null).find((value) => value !== null) ??
    referenceOptions[name];
  return {
    beams: first("beams"),
    maxTokens: first("maxTokens"),
    noRepeatNgramSize: first("noRepeatNgramSize"),
    lengthPenalty: first("lengthPenalty"),
  };
}

/**
 * How a checkpoint wants to be asked: the words of its generation_config.json, else of the
 * text_config in its config.json, in the spelling of transformers. A length of 20 is what
 * transformers writes where nobody chose one.
 */
export function savedOptions(generation: Json, text: Json): GenerateOptions {
  const given = (key: string) => generation[key] ?? text[key];
  const length = whole(given("max_length"), 0); // the start token counts
  const tokens =
    whole(given("max_new_tokens"), 0) ?? (length === null || length === 20 ? null : length - 1);
  const penalty = given("length_penalty");
  return {
    beams: whole(given("num_beams"), 1),
    maxTokens: tokens !== null && tokens >= 2 ? tokens : null,
    noRepeatNgramSize: whole(given("no_repeat_ngram_size"), 0),
    lengthPenalty: typeof penalty === "number" ? penalty : null,
  };
}

type Json = { readonly [key: string]: unknown };

function whole(value: unknown, min: number): number | null {
  return typeof value === "number" && Number.isInteger(value) && value >= min ? value : null;
}
