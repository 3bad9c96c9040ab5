import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Engine } from "../../../core/ports.ts";
import { openEngine } from "../../../inference/florence2/engine.ts";
import { models, picture } from "./fixtures.ts";

const caption = { prompt: "What does the image describe?", locationGroup: null };

let engine: Engine;
beforeAll(() => {
  engine = openEngine({ models, threads: 1 });
});
afterAll(() => engine.close());

describe("a batch", () => {
  test("of images sees what single calls see", async () => {
    const images = await Promise.all(Array.from({ length: 10 }, (_, seed) => picture(seed)));
    const together = await engine.see("nano", images);
    for (const [i, image] of images.entries()) {
      const [alone] = await engine.see("nano", [image]);
      const seen = together[i];
      if (!alone || alone instanceof Error || !seen || seen instanceof Error) expect.unreachable();
      expect(seen.features).toHaveLength(alone.features.length);
      seen.features.forEach((value, k) => {
        if (Math.abs(value - (alone.features[k] ?? Number.NaN)) > 1e-4)
          expect.fail(`image ${i}, feature ${k}`);
      });
    }
  });

  test("with a bad image keeps the others, each in its place", async () => {
    const good = await picture(1, 70, 50);
    const seen = await engine.see("nano", [
      Buffer.from("no image"),
      good,
      good.subarray(0, good.length / 2),
      good,
    ]);
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
  test("does nothing for a request that is canceled before it begins", async () => {
    const [sight] = await engine.see("nano", [await picture(1)]);
    if (!sight || sight instanceof Error) expect.unreachable();
    const prompt = { sight, ...caption, options: {} };
    await expect(engine.answer("nano", [prompt], AbortSignal.abort())).rejects.toMatchObject({
      code: "CANCELED",
    });
    await expect(engine.see("nano", [await picture(1)], AbortSignal.abort())).rejects.toMatchObject(
      { code: "CANCELED" },
    );
  });

  test("that is closed refuses to load anything again", async () => {
    const closed = openEngine({ models, threads: 1 });
    await closed.close();
    await expect(closed.see("nano", [await picture(1)])).rejects.toThrow("closed");
  });

  test("knows no model but those of its port", async () => {
    await expect(engine.see("other", [])).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
  });

  test("never falls back to a provider that it was not given", async () => {
    const unusable = openEngine({ models, executionProviders: ["abacus"] });
    await expect(unusable.see("nano", [])).rejects.toMatchObject({
      code: "MODEL_UNAVAILABLE",
      message: expect.stringContaining("abacus"),
    });
    const fallback = openEngine({ models, executionProviders: ["abacus", "cpu"], threads: 1 });
    const [sight] = await fallback.see("nano", [await picture(1)]);
    if (!sight || sight instanceof Error) expect.unreachable();
    const [answer] = await fallback.answer("nano", [
      { sight, ...caption, options: { beams: 1, maxTokens: 4 } },
    ]);
    expect(answer?.model.executionProvider).toBe("cpu");
    await fallback.close();
    await unusable.close();
  });
});
