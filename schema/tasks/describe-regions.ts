import { type RawAnswer, scoreOf } from "../answer.ts";
import { readBoxes } from "../answers/boxes.ts";
import type { Size } from "../geometry.ts";
import { plainPrompts } from "../prompts.ts";
import type { GenerateOptions, Reading, VisionTask } from "../task.ts";
import { checkOptions } from "./input.ts";

export type DescribeRegionsInput = {
  readonly options?: GenerateOptions | null;
};

export const describeRegions: VisionTask<DescribeRegionsInput> = {
  name: "DESCRIBE_REGIONS",
  field: "describeRegions",
  check: (input) => checkOptions(input.options),
  prepare: () => null,
  ask: () => ({ prompt: plainPrompts["<DENSE_REGION_CAPTION>"], locationGroup: 4, read }),
};

function read(answer: RawAnswer, size: Size): Reading {
  const { items, remainder } = readBoxes(answer.text, size);
  const regions = items.flatMap(({ label, boxes }) =>
    boxes.map(({ box, spans }) => ({ text: label, box, score: scoreOf(answer.tokens, spans) })),
  );
  return { result: { type: "RegionCaptionsResult", regions }, remainder };
}
