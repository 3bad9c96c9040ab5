import { type RawAnswer, type Span, scoreOf } from "../answer.ts";
import { readBoxes } from "../answers/boxes.ts";
import { readText } from "../answers/text.ts";
import type { Size } from "../geometry.ts";
import { textPrompts } from "../prompts.ts";
import type { GroundedPhrase } from "../result.ts";
import type { GenerateOptions, Reading, VisionTask } from "../task.ts";
import { askCaption } from "./caption.ts";
import { checkOptions, checkWords } from "./input.ts";

export type GroundPhrasesInput = {
  /** Absent: the model's own brief caption. */
  readonly caption?: string | null;
  readonly options?: GenerateOptions | null;
};

export const groundPhrases: VisionTask<GroundPhrasesInput> = {
  name: "GROUND_PHRASES",
  field: "groundPhrases",
  check: ({ caption, options }) =>
    (caption == null ? null : checkWords(["caption"], caption, captionLengthMax)) ??
    checkOptions(options),
  prepare: (input) => (input.caption == null ? askCaption("BRIEF") : null),
  ask(input, _size, prepared) {
    const caption = input.caption ?? ownCaption(prepared);
    return {
      prompt: textPrompts["<CAPTION_TO_PHRASE_GROUNDING>"](caption),
      locationGroup: 4,
      read: (answer, size) => read(caption, answer, size),
    };
  },
};

const captionLengthMax = 1000;

/**
 * The answer to the preparatory question comes raw: what it may hold besides words is no part of a
 * caption.
 */
function ownCaption(prepared: string | null): string {
  if (prepared === null)
    throw new Error("groundPhrases has no caption: ask its preparatory question first.");
  return readText(prepared).text;
}

function read(caption: string, answer: RawAnswer, size: Size): Reading {
  const { items, remainder } = readBoxes(answer.text, size);
  const used: Span[] = [];
  const phrases = items.map(({ label, boxes }): GroundedPhrase => {
    const span = findWords(caption, label, used);
    if (span) used.push(span);
    return {
      text: label,
      start: span?.start ?? null,
      end: span?.end ?? null,
      boxes: boxes.map((placed) => placed.box),
      scores: boxes.map((placed) => scoreOf(answer.tokens, placed.spans)),
    };
  });
  return { result: { type: "GroundingResult", caption, phrases }, remainder };
}

/**
 * Letters of scripts that put spaces between words: in the others no character tells where a word
 * ends.
 */
const wordCharacter =
  /(?![\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}])[\p{L}\p{M}\p{N}]/u;

/**
 * The first place in a caption where the words stand as whole words ("man" is not in "woman") and
 * no earlier phrase does.
 */
function findWords(caption: string, words: string, used: readonly Span[]): Span | null {
  if (words === "") return null;
  for (let start = caption.indexOf(words); start >= 0; start = caption.indexOf(words, start + 1)) {
    const end = start + words.length;
    const isWhole =
      !wordCharacter.test(caption.charAt(start - 1)) && !wordCharacter.test(caption.charAt(end));
    if (isWhole && used.every((span) => end <= span.start || start >= span.end))
      return { start, end };
  }
  return null;
}
