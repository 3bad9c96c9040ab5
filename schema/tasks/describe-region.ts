import { scoreOf } from "../answer.ts";
import { locationTokens } from "../answers/locations.ts";
import { readRegionText } from "../answers/region-text.ts";
import { regionPrompts } from "../prompts.ts";
import type { RegionAspect } from "../result.ts";
import type { GenerateOptions, VisionTask } from "../task.ts";
import { checkOptions } from "./input.ts";
import { checkRegion, pixelsOf, type RegionInput } from "./region.ts";

export type DescribeRegionInput = {
  readonly region: RegionInput;
  readonly as: RegionAspect;
  readonly options?: GenerateOptions | null;
};

export const describeRegion: VisionTask<DescribeRegionInput> = {
  name: "DESCRIBE_REGION",
  field: "describeRegion",
  check: (input, size) =>
    checkRegion(["region"], input.region, size) ?? checkOptions(input.options),
  prepare: () => null,
  ask(input, size) {
    const region = pixelsOf(input.region, size);
    return {
      prompt: regionPrompts[tokenOf[input.as]](locationTokens(region, size)),
      locationGroup: 4,
      read(answer) {
        const { text, spans, remainder } = readRegionText(answer.text, size);
        const score = scoreOf(answer.tokens, spans);
        return {
          result: { type: "RegionTextResult", text, as: input.as, region, score },
          remainder,
        };
      },
    };
  },
};

const tokenOf = {
  CATEGORY: "<REGION_TO_CATEGORY>",
  DESCRIPTION: "<REGION_TO_DESCRIPTION>",
  TEXT: "<REGION_TO_OCR>",
} as const;
