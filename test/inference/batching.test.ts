import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Engine, EngineAnswer, Sight, SightPrompt } from "../../core/ports.ts";
import { batchingEngine, partsOf } from "../../inference/batching.ts";
import { openEngine } from "../../inference/florence2/engine.ts";
import { models, picture } from "./florence2/fixtures.ts";
import { notingEngine } from "./noting-engine.ts";

let engine: Engine;
let sights: Sight[];

beforeAll(async () => {
  engine = openEngine({ models, threads: 1 });
  const seen = await engine.see(
    "nano",
    await Promise.all(Array.from({ length: 12 }, (_, i) => picture(i))),
  );
  sights = seen.map((sight) =>
    sight instanceof Error ? expect.unreachable(sight.message) : sight,
  );
});
afterAll(() => engine.close());

const batchMsMax = 60_000;
const caption = "What does the image describe?";

function promptOn(
  sight: Sight | undefined,
  prompt = caption,
  options: SightPrompt["options"] = { maxTokens: 12 },
): SightPrompt {
  return { sight: sight ?? expect.unreachable(), prompt, locationGroup: null, options };
}

const told = (answers: readonly EngineAnswer[]) =>
  answers.map(({ text, finish, beams }) => ({ text, finish, beams }));

test("calls of several runs share batches, and get the answers that they would get alone", async () => {
  const alone: object[] = [];
  for (const sight of sights)
    alone.push(
      told(
        await engine.answer("nano", [
          promptOn(sight),
          promptOn(sight, "What is the text in the image?"),
        ]),
      ),
    );
  const noted = notingEngine(engine);
  const shared = batchingEngine(noted, { batchMsMax })("ten_1");
  const together = await Promise.all(
    sights.map(async (sight) => {
      const leave = shared.enter();
      const answers = await shared.answer("nano", [
        promptOn(sight),
        promptOn(sight, "What is the text in the image?"),
      ]);
      leave();
      return told(answers);
    }),
  );
  expect(together).toEqual(alone);
  expect(noted.calls.length).toBeLessThan(sights.length);
});

test("images of several runs share batches, and a corrupt one fails alone", async () => {
  const noted = notingEngine(engine);
  const shared = batchingEngine(noted, { batchMsMax })("ten_1");
  const files = await Promise.all(
    Array.from({ length: 12 }, (_, i) => (i === 5 ? Buffer.from("no image") : picture(i))),
  );
  const seen = await Promise.all(files.map((bytes) => shared.see("nano", [bytes])));
  expect(noted.calls.length).toBeLessThan(files.length);
  expect(noted.calls.reduce((sum, { items }) => sum + items, 0)).toBe(files.length);
  seen.forEach(([sight], i) => {
    if (i === 5) expect(sight).toMatchObject({ code: "SOURCE_UNSUPPORTED" });
    else expect(sight).toMatchObject({ model: sights[i]?.model, size: sights[i]?.size });
  });
});

test("a prompt that the model cannot take fails alone", async () => {
  const shared = batchingEngine(engine, { batchMsMax })("ten_1");
  const endless = "word ".repeat(3_000);
  const asked = sights
    .slice(0, 6)
    .map((sight, i) => shared.answer("nano", [promptOn(sight, i === 3 ? endless : caption)]));
  const outcomes = await Promise.allSettled(asked);
  expect(outcomes.map(({ status }) => status)).toEqual([
    "fulfilled",
    "fulfilled",
    "fulfilled",
    "rejected",
    "fulfilled",
    "fulfilled",
  ]);
  await expect(asked[3]).rejects.toMatchObject({ code: "INVALID" });
});

test("a call that is canceled ends at once; its neighbours in the batch are answered", async () => {
  const shared = batchingEngine(engine, { batchMsMax })("ten_1");
  await shared.answer("nano", [promptOn(sights[0])]); // what is known of the cost lets two share the next batch
  const stop = new AbortController();
  const options = { maxTokens: 40, beams: null };
  const first = shared.answer("nano", [promptOn(sights[0], caption, options)]);
  const doomed = shared.answer("nano", [promptOn(sights[1], caption, options)], stop.signal);
  const other = shared.answer("nano", [promptOn(sights[2], caption, options)]);
  const refused = expect(doomed).rejects.toMatchObject({ code: "CANCELED" });
  await first;
  stop.abort();
  await refused;
  expect(told(await other)).toEqual(
    told(await engine.answer("nano", [promptOn(sights[2], caption, options)])),
  );
});

test("answers of different classes and beams go in batches of their own", async () => {
  const noted = notingEngine(engine);
  const shared = batchingEngine(noted, { batchMsMax })("ten_1");
  const page = "What is the text in the image?";
  const pairs = sights
    .slice(0, 8)
    .flatMap((sight) => [
      promptOn(sight, page, { maxTokens: 30 }),
      promptOn(sight),
      promptOn(sight, caption, { beams: 2, maxTokens: 12 }),
    ]);
  await Promise.all(pairs.map((prompt) => shared.answer("nano", [prompt])));
  expect(noted.calls.some(({ items }) => items > 1)).toBe(true);
  for (const { prompts } of noted.calls) expect(new Set(prompts).size).toBe(1);
});

test("prompts of one call with several beam widths come back in order", async () => {
  const shared = batchingEngine(engine, { batchMsMax })("ten_1");
  const prompts = [3, 1, 3, 2].map((beams, i) =>
    promptOn(sights[i], caption, { beams, maxTokens: 12 }),
  );
  expect(told(await shared.answer("nano", prompts))).toEqual(
    told(await engine.answer("nano", prompts)),
  );
});

test("no images and no prompts are nothing to wait for", async () => {
  const shared = batchingEngine(engine, { batchMsMax })("ten_1");
  expect(await shared.see("nano", [])).toEqual([]);
  expect(await shared.answer("nano", [])).toEqual([]);
});

test("a call is cut by model and beams, and by nothing else", () => {
  const prompt = fc.record({
    model: fc.constantFrom("a", "b"),
    beams: fc.constantFrom(null, undefined, 1, 3),
  });
  fc.assert(
    fc.property(fc.array(prompt, { maxLength: 16 }), (asked) => {
      const size = { width: 1, height: 1 };
      const timings = { decodeMs: 0, pixelsMs: 0, visionMs: 0 };
      const prompts = asked.map(({ model, beams }, i): SightPrompt => {
        const sight = { model, size, timings, features: new Float32Array() };
        return {
          sight,
          prompt: `${i}`,
          locationGroup: null,
          options: beams === undefined ? {} : { beams },
        };
      });
      const parts = partsOf(prompts);
      const members = parts.flatMap((part) => part.members);
      expect(members.map(({ index }) => index).sort((a, b) => a - b)).toEqual(
        prompts.map((_, i) => i),
      );
      for (const { index, prompt } of members) expect(prompt).toBe(prompts[index]);
      for (const part of parts) {
        for (const { prompt } of part.members) {
          expect([prompt.sight.model, prompt.options.beams ?? null]).toEqual([
            part.model,
            part.beams,
          ]);
        }
      }
      expect(new Set(parts.map(({ model, beams }) => `${model} ${beams}`)).size).toBe(parts.length);
    }),
  );
});
