import { type AnswerToken, type RawAnswer, scoreOf } from "../answer.ts";
import { readQuads, type TextQuad } from "../answers/quads.ts";
import { readText as readPlainText } from "../answers/text.ts";
import type { Size } from "../geometry.ts";
import { plainPrompts } from "../prompts.ts";
import type { OcrRegion } from "../result.ts";
import type { GenerateOptions, Reading, VisionTask } from "../task.ts";
import { checkOptions } from "./input.ts";

export type ReadTextInput = {
  readonly regions: boolean;
  readonly options?: GenerateOptions | null;
};

export const readText: VisionTask<ReadTextInput> = {
  name: "READ_TEXT",
  field: "readText",
  check: (input) => checkOptions(input.options),
  prepare: () => null,
  ask: ({ regions }) =>
    regions
      ? { prompt: plainPrompts["<OCR_WITH_REGION>"], locationGroup: 8, read: readRegions }
      : { prompt: plainPrompts["<OCR>"], locationGroup: null, read: readWhole },
};

/** Lines scored by the tokens that place them. */
export function scoreLines(
  lines: readonly TextQuad[],
  tokens: readonly AnswerToken[],
): OcrRegion[] {
  return lines.map(({ text, quad, box, spans }) => ({
    text,
    quad,
    box,
    score: scoreOf(tokens, spans),
  }));
}

function readRegions(answer: RawAnswer, size: Size): Reading {
  const { items: lines, remainder } = readQuads(answer.text, size);
  const text = lines.map((line) => line.text).join("\n");
  const textSpans = lines.flatMap((line) => line.textSpans);
  const score = scoreOf(answer.tokens, textSpans);
  return {
    result: { type: "OcrResult", text, score, regions: scoreLines(lines, answer.tokens) },
    remainder,
  };
}

function readWhole(answer: RawAnswer): Reading {
  const { text, spans, remainder } = readPlainText(answer.text);
  return {
    result: { type: "OcrResult", text, score: scoreOf(answer.tokens, spans), regions: [] },
    remainder,
  };
}
