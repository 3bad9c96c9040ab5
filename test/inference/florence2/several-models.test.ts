import { mkdtempSync, rmSync, truncateSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { modelPlaces, openModels } from "../../../adapters/model-folders.ts";
import { packageRoot } from "../../../adapters/package-root.ts";
import type { Engine, ModelAlias, Models } from "../../../core/ports.ts";
import { type EngineSetup, openEngine } from "../../../inference/florence2/engine.ts";
import { filesBytes } from "../../../inference/florence2/resident.ts";
import type { GenerateOptions } from "../../../schema/task.ts";
import { addModelCopy } from "../../model-copy.ts";
import { picture } from "./fixtures.ts";

let dataDir: string;
let aliases: ModelAlias[];
let models: Models;
let warnings: { message: string; fields: object }[];
let engines: Engine[];

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "vedere-hosting-"));
  [aliases, warnings, engines] = [[], [], []];
  const files = openModels(
    modelPlaces({ dataDir, model: null, precisions: null, executionProviders: ["cpu"] }),
    async () => aliases,
  );
  models = { list: () => files.list({ isFresh: true }) };
});
afterEach(async () => {
  await Promise.all(engines.map((engine) => engine.close()));
  rmSync(dataDir, { recursive: true });
});

function open(setup: Partial<EngineSetup> = {}): Engine {
  const engine = openEngine({
    models,
    threads: 1,
    warn: (message, fields) => warnings.push({ message, fields }),
    ...setup,
  });
  engines.push(engine);
  return engine;
}

/** Revisions are as new as their numbers. */
function add(id: string, revision: number, defaults: GenerateOptions = {}): string {
  const folder = addModelCopy(dataDir, { id, revision: String(revision), defaults });
  utimesSync(folder, revision, revision);
  return folder;
}

async function ask(engine: Engine, model: string, options: GenerateOptions = {}) {
  const [sight] = await engine.see(model, [await picture(1)]);
  if (!sight || sight instanceof Error) throw sight ?? new Error("Nothing was seen.");
  const prompt = {
    sight,
    prompt: "What does the image describe?",
    locationGroup: null,
    options: { maxTokens: 4, ...options },
  };
  const [answer] = await engine.answer(model, [prompt]);
  return answer ?? expect.unreachable();
}

const hosted = (engine: Engine) =>
  engine.hosted().map(({ id, revision, state }) => `${id}@${revision} ${state}`);

test("a model that is held stays what it is while a newer revision takes its id, and goes when it is released", async () => {
  add("tuned", 1);
  const engine = open();
  const held = await engine.hold("tuned");
  expect(held).toMatchObject({ id: "tuned", revision: "1" });
  add("tuned", 2);
  expect((await ask(engine, "tuned")).model).toMatchObject({ id: "tuned", revision: "2" });
  expect((await ask(engine, held.model)).model).toMatchObject({ id: "tuned", revision: "1" });
  expect(hosted(engine)).toEqual(["tuned@1 READY", "tuned@2 READY"]);
  held.release();
  expect(hosted(engine)).toEqual(["tuned@2 READY"]);
  expect((await ask(engine, "tuned@1")).model.revision).toBe("1"); // by its own name it is still there
});

test("an alias that is switched counts for whoever comes after, and a model that nobody names any more goes", async () => {
  add("tuned", 1);
  add("tuned", 2);
  aliases = [{ name: "prod", target: "tuned@1" }];
  const engine = open();
  expect((await ask(engine, "prod")).model.revision).toBe("1");
  aliases = [{ name: "prod", target: "tuned@2" }];
  expect((await ask(engine, "prod")).model.revision).toBe("2");
  expect(hosted(engine)).toEqual(["tuned@2 READY"]);
  aliases = [{ name: "prod", target: "florence-2-nano" }];
  add("tuned", 3);
  await engine.tidy();
  expect(hosted(engine)).toEqual([]);
});

test("what was seen is asked about by the model that saw it, whatever its name means by now", async () => {
  add("tuned", 1);
  const engine = open();
  const [sight] = await engine.see("tuned", [await picture(1)]);
  if (!sight || sight instanceof Error) return expect.unreachable();
  add("tuned", 2);
  const prompt = {
    sight,
    prompt: "What does the image describe?",
    locationGroup: null,
    options: { maxTokens: 4 },
  };
  expect((await engine.answer("tuned", [prompt]))[0]?.model.revision).toBe("1");
  const [other] = await engine.see("tuned", [await picture(1)]);
  if (!other || other instanceof Error) return expect.unreachable();
  await expect(engine.answer("tuned", [prompt, { ...prompt, sight: other }])).rejects.toMatchObject(
    { code: "INTERNAL" },
  );
});

test("with little memory, models make room for each other, and come back", async () => {
  for (const id of ["a", "b"]) add(id, 1);
  const [a] = await models.list();
  if (!a) return expect.unreachable();
  const engine = open({ memoryBytes: 1.5 * (await filesBytes(a)) });
  for (const id of ["a", "b", "a"]) {
    expect((await ask(engine, id)).model.id).toBe(id);
    expect(hosted(engine)).toEqual([`${id}@1 READY`]);
  }
});

test("a model that is larger than the memory for models is refused, and others are not", async () => {
  add("a", 1);
  const engine = open({ memoryBytes: 1e6 });
  await expect(engine.hold("a")).rejects.toMatchObject({
    code: "MODEL_UNAVAILABLE",
    message: expect.stringContaining("1 MB"),
  });
  expect(hosted(engine)).toEqual(["a@1 FAILED"]);
});

test("a newest revision that cannot be loaded leaves the id to the one before it, but not its alias", async () => {
  add("tuned", 1);
  truncateSync(join(add("tuned", 2), "onnx", "encoder_model.onnx"), 1_000);
  aliases = [{ name: "prod", target: "tuned@2" }];
  const engine = open();
  expect((await ask(engine, "tuned")).model.revision).toBe("1");
  await engine.tidy();
  expect(hosted(engine).sort()).toEqual(["tuned@1 READY", "tuned@2 FAILED"]);
  const reason = engine.hosted().find(({ state }) => state === "FAILED")?.message;
  expect(reason).toContain("encoder_model.onnx");
  expect(reason).not.toContain(dataDir);
  await expect(engine.hold("prod")).rejects.toMatchObject({ code: "MODEL_UNAVAILABLE" });
  expect(warnings).toContainEqual({
    message: "a model could not be loaded",
    fields: expect.objectContaining({ model: "tuned@2" }),
  });
});

test("a model whose folder is deleted goes on until it is unloaded, and then says that it is gone", async () => {
  const folder = add("a", 1);
  add("b", 1);
  const [a] = await models.list();
  if (!a) return expect.unreachable();
  const engine = open({ memoryBytes: 1.5 * (await filesBytes(a)) });
  await ask(engine, "a");
  rmSync(folder, { recursive: true });
  expect((await ask(engine, "a")).model.id).toBe("a");
  await ask(engine, "b");
  await expect(engine.hold("a")).rejects.toMatchObject({
    code: "MODEL_UNAVAILABLE",
    message: expect.stringContaining("gone"),
  });
  await expect(engine.hold("c")).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
});

test("every model has its own defaults, and a request overrides them", async () => {
  add("brief", 1, { beams: 2, maxTokens: 3 });
  add("wide", 1, { beams: 3, maxTokens: 9 });
  const engine = open();
  const unsaid = { maxTokens: null };
  const [brief, wide] = [await ask(engine, "brief", unsaid), await ask(engine, "wide", unsaid)];
  expect([brief.beams, wide.beams]).toEqual([2, 3]);
  expect(brief.tokens.length).toBeLessThanOrEqual(2);
  expect(wide.tokens.length).toBeGreaterThan(2);
  expect(await ask(engine, "wide", { beams: 1, maxTokens: 3 })).toMatchObject({
    beams: 1,
    finish: "LENGTH",
  });
});

test("a fallback to another execution provider of the list is warned of, and told with the model", async () => {
  const engine = open({ executionProviders: ["abacus", "cpu"] });
  expect((await ask(engine, "florence-2-nano")).model.executionProvider).toBe("cpu");
  expect(engine.hosted()).toMatchObject([
    {
      state: "READY",
      executionProvider: "cpu",
      message: expect.stringMatching(/runs on cpu.*abacus/),
    },
  ]);
  expect(warnings.map(({ message }) => message)).toEqual([
    "a model runs on another execution provider than the preferred one",
  ]);
  const strict = open({ executionProviders: ["abacus"] });
  await expect(strict.hold("florence-2-nano")).rejects.toMatchObject({
    code: "MODEL_UNAVAILABLE",
    message: expect.stringContaining("abacus"),
  });
  await expect(strict.hold("florence-2-nano")).rejects.not.toThrow(packageRoot());
});

test("what is hosted is told while it changes", async () => {
  const states: string[][] = [];
  const engine: Engine = open({
    onChange: () => states.push(engine.hosted().map(({ state }) => state)),
  });
  const held = await engine.hold("florence-2-nano");
  held.release();
  expect(states).toEqual([["LOADING"], ["READY"]]);
  const [info] = await models.list();
  expect(engine.hosted()[0]?.memoryBytes).toBeGreaterThanOrEqual(
    info ? await filesBytes(info) : Number.NaN,
  );
});
