import { rm } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EngineAnswer, ModelInfo, Sight, SightPrompt } from "../../../core/ports.ts";
import { answer } from "../../../inference/florence2/answer.ts";
import { type LoadedModel, loadModel } from "../../../inference/florence2/loaded-model.ts";
import { see } from "../../../inference/florence2/see.ts";
import type { GenerateOptions, LocationGroup } from "../../../schema/task.ts";
import { nano, picture, random } from "./fixtures.ts";
import { openReference } from "./reference.ts";
import { buildStepNano } from "./step-nano.ts";

interface Prompt {
  readonly prompt: string;
  readonly locationGroup: LocationGroup | null;
}

const prompts = {
  caption: { prompt: "What does the image describe?", locationGroup: null },
  objects: { prompt: "Locate the objects with category name in the image.", locationGroup: 4 },
  lines: { prompt: "What is the text in the image, with regions?", locationGroup: 8 },
  mask: {
    prompt: "What is the polygon mask of region <loc_100><loc_100><loc_600><loc_600>",
    locationGroup: 2,
  },
  region: {
    prompt: "What does the region <loc_100><loc_50><loc_600><loc_580> describe?",
    locationGroup: null,
  },
} satisfies Record<string, Prompt>;
const base = {
  beams: 3,
  maxTokens: 48,
  noRepeatNgramSize: 0,
  lengthPenalty: 1,
} satisfies GenerateOptions;

describe.each(["public", "step"] as const)("in the %s layout", (layout) => {
  let info: ModelInfo;
  let model: LoadedModel;
  let reference: Awaited<ReturnType<typeof openReference>>;
  let sights: Sight[];

  beforeAll(async () => {
    info = layout === "public" ? nano : { ...nano, folder: await buildStepNano() };
    model = await loadModel({ list: async () => [info] }, info.id, {
      executionProviders: ["cpu"],
      threads: 1,
    });
    reference = await openReference(info.folder);
    const seen = await see(model, await Promise.all([picture(1), picture(2), picture(3, 90, 140)]));
    sights = seen.flatMap((sight) => (sight instanceof Error ? [] : { ...sight, model: "" }));
    sights.push(noise(sights[0]));
  });
  afterAll(async () => {
    await model.graphs.release();
    await reference.close();
    if (info !== nano) await rm(info.folder, { recursive: true });
  });

  const sightAt = (i: number) => sights[i] ?? expect.unreachable();

  async function single(prompt: SightPrompt): Promise<EngineAnswer> {
    const [given] = await answer(model, [prompt]);
    return given ?? expect.unreachable();
  }

  test("the decoder is that of the layout", () => {
    expect(model.graphs.decoder.layout).toBe(layout);
  });

  describe("an answer", () => {
    const cases = [1, 3, 5].flatMap((beams) =>
      [
        { noRepeatNgramSize: 0 },
        { noRepeatNgramSize: 3 },
        { noRepeatNgramSize: 1, maxTokens: 14 },
        { maxTokens: 6 },
        { lengthPenalty: 0, noRepeatNgramSize: 2 },
      ].map((change) => ({ ...base, beams, ...change })),
    );

    test.each(cases)(
      "is, token by token, the plain reference's: $beams beams, $noRepeatNgramSize-grams, $maxTokens tokens",
      async (options) => {
        const asked = [
          { sight: sightAt(0), ...prompts.caption },
          { sight: sightAt(1), ...prompts.objects },
          { sight: sightAt(1), ...prompts.lines },
          { sight: sightAt(2), ...prompts.region },
          { sight: sightAt(3), ...prompts.objects },
        ];
        for (const { sight, prompt, locationGroup } of asked) {
          const plain = { ...options, earlyStopping: true, locationGroup };
          const { ids, logProbabilities } = await reference.answer(sight.features, prompt, plain);
          const given = await single({ sight, prompt, locationGroup, options });
          expectSame(given.tokens, model.tokens.decode(ids, logProbabilities));
        }
      },
    );

    test("is its tokens, joined, each with a probability", async () => {
      const given = await single({ sight: sightAt(0), ...prompts.mask, options: base });
      expect(given.text).toMatch(/^<loc_/);
      expect(given.tokens.map((token) => token.text).join("")).toBe(given.text);
      for (const { logProbability } of given.tokens)
        expect(Math.exp(logProbability)).toBeGreaterThan(0);
      for (const { logProbability } of given.tokens) expect(logProbability).toBeLessThanOrEqual(0);
      expect(given.timings.tokens).toBe(given.tokens.length);
    });

    test("says LENGTH where the limit cut it off, and is the beginning of the whole one when greedy", async () => {
      const asked = { sight: sightAt(0), ...prompts.mask };
      const whole = await single({ ...asked, options: { ...base, beams: 1 } });
      const cut = await single({ ...asked, options: { ...base, beams: 1, maxTokens: 7 } });
      expect(whole.finish).toBe("END");
      expect(cut.finish).toBe("LENGTH");
      expect(cut.tokens).toHaveLength(5); // <s> and </s> are two of the seven
      expect(whole.text.startsWith(cut.text)).toBe(true);
    });

    test("tells what exactly made it", async () => {
      const { model: made, beams } = await single({
        sight: sightAt(0),
        ...prompts.caption,
        options: { beams: 2 },
      });
      expect(beams).toBe(2);
      expect(made).toMatchObject({
        id: "nano",
        revision: "test",
        precision: "fp32",
        executionProvider: "cpu",
      });
      const decoder = layout === "public" ? "decoder_model_merged" : "decoder_step";
      expect(made.files.map((file) => file.path)).toContain(`onnx/${decoder}.onnx`);
      for (const file of made.files) expect(file.sha256).toMatch(/^[0-9a-f]{64}$/);
    });
  });

  describe("a batch", () => {
    const manyOptions = [
      base,
      { ...base, beams: 1 },
      { ...base, beams: 5, noRepeatNgramSize: 3 },
      { ...base, beams: 2, maxTokens: 5 },
    ];

    test("answers as single calls do, over several images, prompts and options", async () => {
      const asked = sights.flatMap((sight, i) =>
        Object.values(prompts).map((prompt, k) => ({
          sight,
          ...prompt,
          options: manyOptions[(i + k) % manyOptions.length] ?? base,
        })),
      );
      const together = await answer(model, asked);
      expect(together).toHaveLength(asked.length);
      for (const [i, prompt] of asked.entries()) {
        const alone = await single(prompt);
        expect(together[i]?.finish).toBe(alone.finish);
        expectSame(together[i]?.tokens ?? [], alone.tokens);
      }
    });

    test("goes on for the others when answers end at different times, whatever is forced in whose", async () => {
      const limits = [2, 3, 1, 9, 17, 30];
      const asked = limits.flatMap((maxTokens, i) =>
        [prompts.mask, prompts.objects].map((prompt) => ({
          sight: sightAt(i % 3),
          ...prompt,
          options: { ...base, beams: 2, maxTokens },
        })),
      );
      const together = await answer(model, asked);
      for (const [i, prompt] of asked.entries())
        expectSame(together[i]?.tokens ?? [], (await single(prompt)).tokens);
    });

    test("of nothing gives nothing", async () => {
      expect(await answer(model, [])).toEqual([]);
    });
  });

  test("stops between two tokens when canceled, and answers on", async () => {
    const cancel = new AbortController();
    const prompt = { sight: sightAt(0), ...prompts.mask, options: base };
    const answering = answer(model, [prompt], { signal: cancel.signal });
    let turns = 0;
    const afterAFewSteps = () => {
      turns += 1;
      if (turns === 20) cancel.abort();
      else setImmediate(afterAFewSteps);
    };
    setImmediate(afterAFewSteps);
    await expect(answering).rejects.toMatchObject({ code: "CANCELED" });
    expect((await single(prompt)).finish).toBe("END");
  });

  test("refuses a prompt longer than the model's positions", async () => {
    const prompt = {
      sight: sightAt(0),
      prompt: "cat ".repeat(600),
      locationGroup: null,
      options: base,
    };
    await expect(answer(model, [prompt])).rejects.toMatchObject({
      code: "INVALID",
      message: expect.stringContaining("tokens"),
    });
  });
});

/** Features that no image gives: the model stutters, so that there is something to forbid. */
function noise(like: Sight | undefined): Sight {
  if (!like) throw new Error("Nothing was seen.");
  const next = random(5);
  return { ...like, features: like.features.map(() => 2 * (next() + next() + next() - 1.5)) };
}

function expectSame(given: EngineAnswer["tokens"], expected: EngineAnswer["tokens"]): void {
  expect(given.map((token) => token.text)).toEqual(expected.map((token) => token.text));
  given.forEach((token, i) => {
    expect(
      Math.abs(token.logProbability - (expected[i]?.logProbability ?? Number.NaN)),
    ).toBeLessThan(1e-4);
  });
}
