import { type RawAnswer, scoreOf } from "../answer.ts";
import { readBoxes } from "../answers/boxes.ts";
import { joinRemainders } from "../answers/clauses.ts";
import type { Size } from "../geometry.ts";
import { plainPrompts } from "../prompts.ts";
import type { GenerateOptions, Reading, VisionTask } from "../task.ts";
import { checkOptions } from "./input.ts";

export type ProposeRegionsInput = {
  readonly options?: GenerateOptions | null;
};

export const proposeRegions: VisionTask<ProposeRegionsInput> = {
  name: "PROPOSE_REGIONS",
  field: "proposeRegions",
  check: (input) => checkOptions(input.options),
  prepare: () => null,
  ask: () => ({ prompt: plainPrompts["<REGION_PROPOSAL>"], locationGroup: 4, read }),
};

function read(answer: RawAnswer, size: Size): Reading {
  const { items, remainder } = readBoxes(answer.text, size);
  const regions = items.flatMap(({ boxes }) =>
    boxes.map(({ box, spans }) => ({ box, score: scoreOf(answer.tokens, spans) })),
  );
  const labels = items.map((group) => group.label); // proposals have none, and the result no place for one
  return {
    result: { type: "RegionProposalsResult", regions },
    remainder: joinRemainders([...labels, remainder]),
  };
}
