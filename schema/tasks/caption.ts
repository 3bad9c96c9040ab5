import { type RawAnswer, scoreOf } from "../answer.ts";
import { readText } from "../answers/text.ts";
import { plainPrompts } from "../prompts.ts";
import type { GenerateOptions, Question, Reading, VisionTask } from "../task.ts";
import { checkOptions } from "./input.ts";

export type CaptionInput = {
  readonly detail: "BRIEF" | "DETAILED" | "MORE_DETAILED";
  readonly options?: GenerateOptions | null;
};

export const caption: VisionTask<CaptionInput> = {
  name: "CAPTION",
  field: "caption",
  check: (input) => checkOptions(input.options),
  prepare: () => null,
  ask: (input) => askCaption(input.detail),
};

const tokenOf = {
  BRIEF: "<CAPTION>",
  DETAILED: "<DETAILED_CAPTION>",
  MORE_DETAILED: "<MORE_DETAILED_CAPTION>",
} as const;

/** The question for a caption of the whole image. */
export function askCaption(detail: CaptionInput["detail"]): Question {
  return { prompt: plainPrompts[tokenOf[detail]], locationGroup: null, read };
}

function read(answer: RawAnswer): Reading {
  const { text, spans, remainder } = readText(answer.text);
  return {
    result: { type: "CaptionResult", text, score: scoreOf(answer.tokens, spans) },
    remainder,
  };
}
