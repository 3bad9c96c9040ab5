import { rm } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { encoderOutputs } from "../../../inference/florence2/decoder.ts";
import { encodeQuestions } from "../../../inference/florence2/encoding.ts";
import { generate } from "../../../inference/florence2/generate.ts";
import type { Graph } from "../../../inference/florence2/graph.ts";
import type { Graphs } from "../../../inference/florence2/graphs.ts";
import { type LoadedModel, loadModel } from "../../../inference/florence2/loaded-model.ts";
import { see } from "../../../inference/florence2/see.ts";
import { floatsOf, type Value, viewsOf } from "../../../inference/florence2/values.ts";
import { nano, picture } from "./fixtures.ts";
import { buildStepNano } from "./step-nano.ts";

let folder: string;
let model: LoadedModel;
beforeAll(async () => {
  folder = await buildStepNano();
  model = await loadModel({ list: async () => [{ ...nano, folder }] }, nano.id, {
    executionProviders: ["cpu"],
    threads: 1,
  });
});
afterAll(async () => {
  await model.graphs.release();
  await rm(folder, { recursive: true });
});

/**
 * The step graph; `isWhole` makes it compute the whole head where the locations are asked for, and
 * cuts them out.
 */
function counted(graph: Graph, isWhole: boolean) {
  let restricted = 0;
  const run: Graph["run"] = async (inputs, outputs) => {
    const wanted = inputs.locations_only?.data[0] === 1;
    restricted += Number(wanted);
    if (!wanted || !isWhole) return graph.run(inputs, outputs);
    const results = await graph.run(
      { ...inputs, locations_only: { data: Uint8Array.of(0), dims: [1] } },
      outputs,
    );
    return { ...results, logits: locationsOf(results) };
  };
  return { graph: { ...graph, run }, steps: () => restricted };
}

function locationsOf({ logits }: Readonly<Record<string, Value>>): Value {
  const rows = logits?.dims[0] ?? 0;
  const { first, count } = model.special.locations;
  const cut = viewsOf(floatsOf(logits), rows).flatMap((row) => [
    ...row.subarray(first, first + count),
  ]);
  return { data: Float32Array.from(cut), dims: [rows, count] };
}

const questions = [
  ["Locate the objects with category name in the image.", 4],
  ["What is the text in the image, with regions?", 8],
  ["What is the polygon mask of region <loc_100><loc_100><loc_600><loc_600>", 2],
] as const;

test.each([1, 3, 5])(
  "the head restricted to locations finds what the whole head with a mask finds: %i beams",
  async (beams) => {
    const { graphs, config, special, tokens } = model;
    if (graphs.decoder.layout !== "step") expect.unreachable();
    const seen = await see(model, await Promise.all([picture(1), picture(2), picture(3)]));
    let restricted = 0;
    for (const [prompt, locationGroup] of questions) {
      for (const sight of seen) {
        if (sight instanceof Error) throw sight;
        const rules = [
          {
            beams,
            maxTokens: 40,
            noRepeatNgramSize: 3,
            lengthPenalty: 1,
            earlyStopping: true,
            locationGroup,
          },
        ];
        const question = { features: sight.features, ids: tokens.encode(prompt) };
        const encoding = await encodeQuestions(graphs, [question], {
          width: config.width,
          tokens,
          outputs: encoderOutputs(graphs, config),
        });
        const search = async (isWhole: boolean) => {
          const step = counted(
            graphs.decoder.layout === "step" ? graphs.decoder.step : expect.unreachable(),
            isWhole,
          );
          const decoder: Graphs["decoder"] = { layout: "step", step: step.graph };
          const [found] = await generate({ ...graphs, decoder }, encoding, {
            rules,
            special,
            model: config,
            signal: undefined,
          });
          restricted += step.steps();
          return found ?? expect.unreachable();
        };
        const [narrow, whole] = [await search(false), await search(true)];
        expect(narrow.ids).toEqual(whole.ids);
        narrow.logProbabilities.forEach((value, i) => {
          expect(Math.abs(value - (whole.logProbabilities[i] ?? Number.NaN))).toBeLessThanOrEqual(
            1e-5,
          );
        });
      }
    }
    expect(restricted).toBeGreaterThan(50);
  },
);
