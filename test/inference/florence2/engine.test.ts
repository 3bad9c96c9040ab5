import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Engine, EngineAnswer, Sight, SightPrompt } from "../../../core/ports.ts";
import { openEngine } from "../../../inference/florence2/engine.ts";
import { openTokens, type Tokens } from "../../../inference/florence2/tokens.ts";
import type { GenerateOptions } from "../../../schema/task.ts";
import { models, nano, nanoFolder, picture, random } from "./fixtures.ts";
import { openReference } from "./reference.ts";

const prompts = {
  caption: "What does the image describe?",
  objects: "Locate the objects with category name in the image.",
  mask: "What is the polygon mask of region <loc_100><loc_100><loc_600><loc_600>",
  region: "What does the region <loc_100><loc_50><loc_600><loc_580> describe?",
};
const base = { beams: 3, maxTokens: 48, noRepeatNgramSize: 0, lengthPenalty: 1 } satisfies GenerateOptions;

let engine: Engine;
let sights: Sight[];
let tokens: Tokens;
let reference: Awaited<ReturnType<typeof openReference>>;

beforeAll(async () => {
  engine = openEngine({ models, threads: 1 });
  tokens = await openTokens(nanoFolder);
  reference = await openReference();
  const seen = await engine.see("nano", await Promise.all([picture(1), picture(2), picture(3, 90, 140)]));
  sights = seen.filter((sight): sight is Sight => !(sight instanceof Error));
  sights.push(noise(sights[0]));
});
afterAll(async () => {
  await engine.close();
  await reference.close();
});

/** Features that no image gives: the model stutters, so that there is something to forbid. */
function noise(like: Sight | undefined): Sight {
  if (!like) throw new Error("Nothing was seen.");
  const next = random(5);
  return { ...like, features: like.features.map(() => 2 * (next() + next() + next() - 1.5)) };
}

async function single(prompt: SightPrompt): Promise<EngineAnswer> {
  const [answer] = await engine.answer("nano", [prompt]);
  if (!answer) throw new Error("No answer.");
  return answer;
}

const sightAt = (i: number) => sights[i] ?? expect.unreachable();

describe("an answer", () => {
  const cases = [1, 3, 5].flatMap((beams) =>
    [
      { noRepeatNgramSize: 0 },
      { noRepeatNgramSize: 3 },
      { noRepeatNgramSize: 1, maxTokens: 20 },
      { maxTokens: 6 },
      { lengthPenalty: 0, noRepeatNgramSize: 2 },
    ].map((change) => ({ ...base, beams, ...change })),
  );

  test.each(cases)(
    "is, token by token, the plain reference's: $beams beams, $noRepeatNgramSize-grams, $maxTokens tokens",
    async (options) => {
      const asked = [
        { sight: sightAt(0), prompt: prompts.caption },
        { sight: sightAt(1), prompt: prompts.objects },
        { sight: sightAt(2), prompt: prompts.region },
        { sight: sightAt(3), prompt: prompts.objects },
      ];
      for (const { sight, prompt } of asked) {
        const plain = { ...options, earlyStopping: true };
        const { ids, logProbabilities } = await reference.answer(sight.features, prompt, plain);
        const answer = await single({ sight, prompt, options });
        const expected = tokens.decode(ids, logProbabilities);
        expect(answer.tokens.map((token) => token.text)).toEqual(expected.map((token) => token.text));
        answer.tokens.forEach((token, i) => {
          expect(Math.abs(token.logProbability - (expected[i]?.logProbability ?? Number.NaN))).toBeLessThan(1e-4);
        });
      }
    },
  );

  test("is its tokens, joined, each with a probability", async () => {
    const answer = await single({ sight: sightAt(0), prompt: prompts.mask, options: base });
    expect(answer.text).toMatch(/^<loc_/);
    expect(answer.tokens.map((token) => token.text).join("")).toBe(answer.text);
    for (const { logProbability } of answer.tokens) expect(Math.exp(logProbability)).toBeGreaterThan(0);
    for (const { logProbability } of answer.tokens) expect(logProbability).toBeLessThanOrEqual(0);
    expect(answer.timings.tokens).toBe(answer.tokens.length);
  });

  test("says LENGTH where the limit cut it off, and is the beginning of the whole one when greedy", async () => {
    const whole = await single({ sight: sightAt(0), prompt: prompts.mask, options: { ...base, beams: 1 } });
    const cut = await single({ sight: sightAt(0), prompt: prompts.mask, options: { ...base, beams: 1, maxTokens: 7 } });
    expect(whole.finish).toBe("END");
    expect(cut.finish).toBe("LENGTH");
    expect(cut.tokens).toHaveLength(5); // <s> and </s> are two of the seven
    expect(whole.text.startsWith(cut.text)).toBe(true);
  });

  test("tells what exactly made it", async () => {
    const { model, beams } = await single({ sight: sightAt(0), prompt: prompts.caption, options: { beams: 2 } });
    expect(beams).toBe(2);
    expect(model).toMatchObject({ id: "nano", revision: "test", precision: "fp32", executionProvider: "cpu" });
    expect(model.files.map((file) => file.path)).toContain("onnx/decoder_model_merged.onnx");
    for (const file of model.files) expect(file.sha256).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe("a batch", () => {
  test("answers as single calls do, over several images, prompts and options", async () => {
    const options = [base, { ...base, beams: 1 }, { ...base, beams: 5, noRepeatNgramSize: 3 }, { ...base, beams: 2, maxTokens: 5 }];
    const asked = sights.flatMap((sight, i) =>
      Object.values(prompts).map((prompt, k) => ({ sight, prompt, options: options[(i + k) % options.length] ?? base })),
    );
    const together = await engine.answer("nano", asked);
    expect(together).toHaveLength(asked.length);
    for (const [i, prompt] of asked.entries()) {
      const alone = await single(prompt);
      expect(together[i]?.text).toBe(alone.text);
      expect(together[i]?.finish).toBe(alone.finish);
      alone.tokens.forEach((token, k) => {
        expect(Math.abs((together[i]?.tokens[k]?.logProbability ?? Number.NaN) - token.logProbability)).toBeLessThan(1e-4);
      });
    }
  });

  test("of images sees what single calls see", async () => {
    const images = await Promise.all(Array.from({ length: 10 }, (_, seed) => picture(seed)));
    const together = await engine.see("nano", images);
    for (const [i, image] of images.entries()) {
      const [alone] = await engine.see("nano", [image]);
      const seen = together[i];
      if (!alone || alone instanceof Error || !seen || seen instanceof Error) expect.unreachable();
      expect(seen.features).toHaveLength(alone.features.length);
      seen.features.forEach((value, k) => {
        if (Math.abs(value - (alone.features[k] ?? Number.NaN)) > 1e-4) expect.fail(`image ${i}, feature ${k}`);
      });
    }
  });

  test("with a bad image keeps the others, each in its place", async () => {
    const good = await picture(1, 70, 50);
    const seen = await engine.see("nano", [Buffer.from("no image"), good, good.subarray(0, good.length / 2), good]);
    expect(seen[0]).toMatchObject({ code: "SOURCE_UNSUPPORTED" });
    expect(seen[2]).toMatchObject({ code: "SOURCE_CORRUPT" });
    for (const i of [1, 3]) expect(seen[i]).toMatchObject({ size: { width: 70, height: 50 } });
  });

  test("of nothing gives nothing", async () => {
    expect(await engine.see("nano", [])).toEqual([]);
    expect(await engine.answer("nano", [])).toEqual([]);
  });
});

describe("an engine", () => {
  test("stops between two tokens when canceled, and answers on", async () => {
    const cancel = new AbortController();
    const prompt = { sight: sightAt(0), prompt: prompts.mask, options: base };
    const answering = engine.answer("nano", [prompt], cancel.signal);
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

  test("does nothing for a request that is canceled before it begins", async () => {
    const prompt = { sight: sightAt(0), prompt: prompts.caption, options: base };
    await expect(engine.answer("nano", [prompt], AbortSignal.abort())).rejects.toMatchObject({ code: "CANCELED" });
    await expect(engine.see("nano", [await picture(1)], AbortSignal.abort())).rejects.toMatchObject({ code: "CANCELED" });
  });

  test("refuses a prompt longer than the model's positions", async () => {
    const prompt = { sight: sightAt(0), prompt: "cat ".repeat(600), options: base };
    await expect(engine.answer("nano", [prompt])).rejects.toMatchObject({ code: "INVALID", message: expect.stringContaining("tokens") });
  });

  test("loads a model once, however many ask for it at the same time", async () => {
    let lists = 0;
    const counting = openEngine({
      models: {
        list: async () => {
          lists += 1;
          return [nano];
        },
      },
      threads: 1,
    });
    const image = await picture(1);
    await Promise.all([counting.see("nano", [image]), counting.see("nano", [image])]);
    expect(lists).toBe(1);
    await counting.close();
    await expect(counting.see("nano", [image])).rejects.toThrow("closed");
  });

  test("knows no model but those of its port", async () => {
    await expect(engine.see("other", [])).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
  });

  test("never falls back to a provider that it was not given", async () => {
    const unusable = openEngine({ models, executionProviders: ["abacus"] });
    await expect(unusable.see("nano", [])).rejects.toMatchObject({ code: "MODEL_UNAVAILABLE", message: expect.stringContaining("abacus") });
    const fallback = openEngine({ models, executionProviders: ["abacus", "cpu"], threads: 1 });
    const [sight] = await fallback.see("nano", [await picture(1)]);
    if (!sight || sight instanceof Error) expect.unreachable();
    const [answer] = await fallback.answer("nano", [{ sight, prompt: prompts.caption, options: { beams: 1, maxTokens: 4 } }]);
    expect(answer?.model.executionProvider).toBe("cpu");
    await fallback.close();
    await unusable.close();
  });
});
