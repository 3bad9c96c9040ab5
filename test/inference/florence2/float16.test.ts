import { rm } from "node:fs/promises";
import { expect, test } from "vitest";
import { encoderOutputs } from "../../../inference/florence2/decoder.ts";
import { encodeQuestions } from "../../../inference/florence2/encoding.ts";
import { generate } from "../../../inference/florence2/generate.ts";
import { loadModel } from "../../../inference/florence2/loaded-model.ts";

import { nano, random } from "./fixtures.ts";
import { buildStepNano } from "./step-nano.ts";

test("a model in float16 keeps its caches so, and says what float32 says within rounding", async () => {
  const found: number[][] = [];
  const next = random(4);
  const features = Float32Array.from({ length: 65 * 128 }, () => 2 * (next() - 0.5));
  for (const precision of ["fp32", "fp16"]) {
    const folder = await buildStepNano(precision);
    const info = { ...nano, folder, precision };
    const { graphs, config, special, tokens } = await loadModel(
      { list: async () => [info] },
      nano.id,
      {
        executionProviders: ["cpu"],
        threads: 1,
      },
    );
    const { decoder } = graphs;
    if (decoder.layout !== "step") expect.unreachable();
    expect(decoder.step.inputTypes.get("past_key_values.0.decoder.key")).toBe(
      precision === "fp32" ? "float32" : "float16",
    );
    const question = { features, ids: tokens.encode("What does the image describe?") };
    const encoding = await encodeQuestions(graphs, [question], {
      width: config.width,
      tokens,
      outputs: encoderOutputs(graphs, config),
    });
    // Both tokens are forced, so no rounding can lead the two to different answers.
    const rules = [
      {
        beams: 1,
        maxTokens: 2,
        noRepeatNgramSize: 0,
        lengthPenalty: 1,
        earlyStopping: true,
        locationGroup: null,
      },
    ];
    const [answer] = await generate(graphs, encoding, {
      rules,
      special,
      model: config,
      signal: undefined,
    });
    expect(answer?.ids).toEqual([special.bos, special.eos]);
    found.push([...(answer?.logProbabilities ?? [])]);
    await graphs.release();
    await rm(folder, { recursive: true });
  }
  const [exact = [], half = []] = found;
  expect(half).not.toEqual(exact);
  for (const [i, value] of exact.entries())
    expect(Math.abs(value - (half[i] ?? Number.NaN))).toBeLessThan(0.05);
});
