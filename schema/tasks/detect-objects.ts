import { type AnswerToken, type RawAnswer, scoreOf } from "../answer.ts";
import { type PlacedObject, readObjects } from "../answers/boxes-or-polygons.ts";
import type { Size } from "../geometry.ts";
import { classSeparator, plainPrompts, textPrompts } from "../prompts.ts";
import type { DetectedObject } from "../result.ts";
import type { GenerateOptions, InputFault, Reading, VisionTask } from "../task.ts";
import { checkOptions, checkWords } from "./input.ts";

export type DetectObjectsInput = {
  /** Absent: every category the model knows. */
  readonly labels?: readonly string[] | null;
  readonly options?: GenerateOptions | null;
};

export const detectObjects: VisionTask<DetectObjectsInput> = {
  name: "DETECT_OBJECTS",
  field: "detectObjects",
  check: (input) => checkLabels(input.labels) ?? checkOptions(input.options),
  prepare: () => null,
  ask: ({ labels }) => ({
    prompt: labels
      ? textPrompts["<OPEN_VOCABULARY_DETECTION>"](labels.join(classSeparator))
      : plainPrompts["<OD>"],
    locationGroup: labels ? 2 : 4, // of given labels the model may draw polygons
    read,
  }),
};

const labelsMax = 32;
const labelLengthMax = 200;

/** Objects scored by the tokens that place them. */
export function scoreObjects(
  objects: readonly PlacedObject[],
  tokens: readonly AnswerToken[],
): DetectedObject[] {
  return objects.map(({ label, box, polygons, spans }) => ({
    label,
    box,
    polygons,
    score: scoreOf(tokens, spans),
  }));
}

function read(answer: RawAnswer, size: Size): Reading {
  const { items, remainder } = readObjects(answer.text, size);
  return {
    result: { type: "DetectionResult", objects: scoreObjects(items, answer.tokens) },
    remainder,
  };
}

function checkLabels(labels: DetectObjectsInput["labels"]): InputFault | null {
  if (!labels) return null;
  if (labels.length === 0 || labels.length > labelsMax) {
    return {
      path: ["labels"],
      message: `There are ${labels.length} labels.`,
      fix: `Give 1 to ${labelsMax}, or leave them out to find every category.`,
    };
  }
  for (const [i, label] of labels.entries()) {
    const fault = checkWords(["labels", String(i)], label, labelLengthMax);
    if (fault) return fault;
  }
  return null;
}
