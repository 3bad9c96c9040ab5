import { type RawAnswer, scoreOf } from "../answer.ts";
import { readText } from "../answers/text.ts";
import { textPrompts } from "../prompts.ts";
import type { GenerateOptions, Reading, VisionTask } from "../task.ts";
import { checkOptions, checkWords } from "./input.ts";

export type AskInput = {
  readonly question: string;
  readonly options?: GenerateOptions | null;
};

export const ask: VisionTask<AskInput> = {
  name: "ASK",
  field: "ask",
  check: (input) =>
    checkWords(["question"], input.question, questionLengthMax) ?? checkOptions(input.options),
  prepare: () => null,
  ask: (input) => ({ prompt: textPrompts["<VQA>"](input.question), locationGroup: null, read }),
};

const questionLengthMax = 500;

function read(answer: RawAnswer): Reading {
  const { text, spans, remainder } = readText(answer.text);
  return {
    result: { type: "AnswerResult", text, score: scoreOf(answer.tokens, spans) },
    remainder,
  };
}
