import { type AnswerToken, type RawAnswer, scoreOf } from "../answer.ts";
import { joinRemainders } from "../answers/clauses.ts";
import { locationTokens } from "../answers/locations.ts";
import { type Outline, readPolygons } from "../answers/polygons.ts";
import type { Size } from "../geometry.ts";
import { regionPrompts, textPrompts } from "../prompts.ts";
import type { SegmentedInstance } from "../result.ts";
import type { GenerateOptions, InputFault, Reading, VisionTask } from "../task.ts";
import { checkOptions, checkWords } from "./input.ts";
import { checkRegion, pixelsOf, type RegionInput } from "./region.ts";

/** Exactly one of the two. */
export type SegmentInput = {
  readonly expression?: string | null;
  readonly region?: RegionInput | null;
  readonly options?: GenerateOptions | null;
};

export const segment: VisionTask<SegmentInput> = {
  name: "SEGMENT",
  field: "segment",
  check: (input, size) => checkSubject(input, size) ?? checkOptions(input.options),
  prepare: () => null,
  ask: ({ expression, region }, size) => ({
    prompt: region
      ? regionPrompts["<REGION_TO_SEGMENTATION>"](locationTokens(pixelsOf(region, size), size))
      : textPrompts["<REFERRING_EXPRESSION_SEGMENTATION>"](expression ?? ""),
    locationGroup: 2,
    read,
  }),
};

const expressionLengthMax = 500;

/** Outlines scored by the tokens that draw them. */
export function scoreInstances(
  outlines: readonly Outline[],
  tokens: readonly AnswerToken[],
): SegmentedInstance[] {
  return outlines.map(({ polygons, box, spans }) => ({
    polygons,
    box,
    score: scoreOf(tokens, spans),
  }));
}

function read(answer: RawAnswer, size: Size): Reading {
  const { items, remainder } = readPolygons(answer.text, size);
  const labels = items.map((outline) => outline.label); // segmentations have none, and the result no place for one
  return {
    result: { type: "SegmentationResult", instances: scoreInstances(items, answer.tokens) },
    remainder: joinRemainders([...labels, remainder]),
  };
}

function checkSubject({ expression, region }: SegmentInput, size: Size): InputFault | null {
  if (expression != null && region == null)
    return checkWords(["expression"], expression, expressionLengthMax);
  if (region != null && expression == null) return checkRegion(["region"], region, size);
  const message =
    region == null
      ? "There is neither an expression nor a region."
      : "There are both an expression and a region.";
  return { path: [], message, fix: "Give exactly one of `expression` and `region`." };
}
