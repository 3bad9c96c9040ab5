import { type RawAnswer, scoreOf } from "../answer.ts";
import { readObjects } from "../answers/boxes-or-polygons.ts";
import { readPolygons } from "../answers/polygons.ts";
import { readQuads } from "../answers/quads.ts";
import { readText } from "../answers/text.ts";
import type { Size } from "../geometry.ts";
import type { PromptResult } from "../result.ts";
import type { GenerateOptions, Reading, VisionTask } from "../task.ts";
import { scoreObjects } from "./detect-objects.ts";
import { checkOptions, checkText } from "./input.ts";
import { scoreLines } from "./read-text.ts";
import { scoreInstances } from "./segment.ts";

export type PromptInput = {
  readonly text: string;
  readonly grammar: "TEXT" | "BOXES" | "QUADS" | "POLYGONS";
  readonly options?: GenerateOptions | null;
};

export const prompt: VisionTask<PromptInput> = {
  name: "PROMPT",
  field: "prompt",
  check: (input) => checkText(["text"], input.text, promptLengthMax) ?? checkOptions(input.options),
  prepare: () => null,
  ask: ({ text, grammar }) => ({
    prompt: text,
    locationGroup: locationGroups[grammar],
    read: (answer, size) => read(grammar, answer, size),
  }),
};

const promptLengthMax = 2000;
const locationGroups = { TEXT: null, BOXES: 2, QUADS: 8, POLYGONS: 2 } as const; // BOXES reads polygons too

function read(grammar: PromptInput["grammar"], answer: RawAnswer, size: Size): Reading {
  const whole = readText(answer.text);
  const score = scoreOf(answer.tokens, whole.spans);
  const result: PromptResult = {
    type: "PromptResult",
    text: whole.text,
    score,
    objects: [],
    regions: [],
    instances: [],
  };
  switch (grammar) {
    case "TEXT":
      return { result, remainder: whole.remainder };
    case "BOXES": {
      const { items, remainder } = readObjects(answer.text, size);
      return { result: { ...result, objects: scoreObjects(items, answer.tokens) }, remainder };
    }
    case "QUADS": {
      const { items, remainder } = readQuads(answer.text, size);
      return { result: { ...result, regions: scoreLines(items, answer.tokens) }, remainder };
    }
    case "POLYGONS": {
      const { items, remainder } = readPolygons(answer.text, size);
      return { result: { ...result, instances: scoreInstances(items, answer.tokens) }, remainder };
    }
  }
}
