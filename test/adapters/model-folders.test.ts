import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type ModelPlaces, openModels, requireDefault } from "../../adapters/model-folders.ts";
import type { PrecisionWish } from "../../adapters/model-precision.ts";
import { packageRoot } from "../../adapters/package-root.ts";
import type { ModelAlias } from "../../core/ports.ts";

const embedded = join(packageRoot(), "models", "florence-2-nano");
const graphs = ["vision_encoder", "embed_tokens", "encoder_model", "decoder_model_merged"];

let pulled: string;
beforeEach(() => {
  pulled = mkdtempSync(join(tmpdir(), "vedere-models-"));
});
afterEach(() => rmSync(pulled, { recursive: true }));

/** A model folder of empty files. */
function addModel(
  name: string,
  content: { onnx?: readonly string[]; manifest?: unknown } = {},
): string {
  const folder = join(pulled, name);
  mkdirSync(join(folder, "onnx"), { recursive: true });
  for (const file of ["config.json", "tokenizer.json"]) writeFileSync(join(folder, file), "{}");
  for (const graph of content.onnx ?? graphs)
    writeFileSync(join(folder, "onnx", `${graph}.onnx`), "");
  const { manifest } = content;
  if (manifest !== undefined)
    writeFileSync(
      join(folder, "vedere.json"),
      typeof manifest === "string" ? manifest : JSON.stringify(manifest),
    );
  return folder;
}

const cpu: PrecisionWish = { precisions: null, executionProvider: "cpu" };
const places = (changes: Partial<ModelPlaces> = {}): ModelPlaces => ({
  embedded,
  pulled,
  chosen: null,
  wish: cpu,
  ...changes,
});
const open = (changes: Partial<ModelPlaces> = {}, aliases: readonly ModelAlias[] = []) =>
  openModels(places(changes), async () => aliases);
const list = (chosen: string | null = null) => open({ chosen }).list();
const standard = (changes: Partial<ModelPlaces>) => requireDefault(open(changes), places(changes));
const defaultOf = async (chosen: string | null = null) =>
  (await list(chosen)).filter(({ isDefault }) => isDefault).map(({ id }) => id);
const suffixed = (suffix: string) => graphs.map((graph) => `${graph}${suffix}`);

test("without pulled models, the embedded one is the default, as its vedere.json describes it", async () => {
  expect(await list()).toEqual([
    expect.objectContaining({
      id: "florence-2-nano",
      precision: "fp32",
      isDefault: true,
      folder: embedded,
      defaults: expect.objectContaining({ beams: 1 }),
    }),
  ]);
  rmSync(pulled, { recursive: true });
  expect(await defaultOf()).toEqual(["florence-2-nano"]);
  mkdirSync(pulled);
});

test("a pulled model goes before the embedded one, the first by id before the others, a chosen one before all", async () => {
  addModel("b-model");
  addModel("a-model");
  expect((await list()).map(({ id }) => id)).toEqual(["a-model", "b-model", "florence-2-nano"]);
  expect(await defaultOf()).toEqual(["a-model"]);
  expect(await defaultOf("b-model")).toEqual(["b-model"]);
  expect(await defaultOf("florence-2-nano")).toEqual(["florence-2-nano"]);
});

test("a chosen model that is not there is refused, with those that are", async () => {
  addModel("a-model");
  await expect(standard({ chosen: "c-model" })).rejects.toMatchObject({
    code: "MODEL_NOT_FOUND",
    message: expect.stringContaining("c-model"),
    fix: expect.stringContaining("a-model, florence-2-nano"),
  });
});

test("no model at all is refused", async () => {
  await expect(standard({ embedded: join(pulled, "none") })).rejects.toMatchObject({
    code: "MODEL_NOT_FOUND",
  });
});

test("a folder without vedere.json is described by what lies in it", async () => {
  const folder = addModel("florence-2-base", { onnx: suffixed("_fp16") });
  addModel("florence-2-base-ft");
  const [base, tuned] = await list();
  expect(base).toMatchObject({
    id: "florence-2-base",
    revision: "unknown",
    precision: "fp16",
    folder,
  });
  expect(base?.defaults).toEqual({
    beams: 3,
    maxTokens: 1024,
    noRepeatNgramSize: 3,
    lengthPenalty: 1,
  });
  expect(base?.tasks).toHaveLength(9);
  expect(base?.tasks).not.toContain("ASK");
  expect(tuned?.tasks).toContain("ASK");
});

test.each([
  {
    what: "the preferred of several",
    onnx: [...suffixed("_q4"), ...suffixed("_quantized")],
    precision: "q8",
  },
  {
    what: "one whose decoder is a single step",
    onnx: [...graphs.slice(0, 3), "decoder_step"],
    precision: "fp32",
  },
  {
    what: "one that all graphs have before a better one that some have",
    onnx: ["vision_encoder", ...suffixed("_int8")],
    precision: "int8",
  },
  {
    what: "one whose decoder is in two files",
    onnx: [...graphs.slice(0, 3), "decoder_model", "decoder_with_past_model"],
    precision: "fp32",
  },
  {
    what: "a mix where no precision is whole",
    onnx: [
      "vision_encoder_fp16",
      "embed_tokens_fp16",
      "encoder_model_q4",
      "decoder_model_merged_q4",
    ],
    precision: "vision_encoder=fp16,embed_tokens=fp16,encoder_model=q4,decoder_model_merged=q4",
  },
])("the precision is found from the files: $what", async ({ onnx, precision }) => {
  addModel("a-model", { onnx });
  expect((await list())[0]?.precision).toBe(precision);
});

test.each([
  { executionProvider: "cuda", precisions: null, precision: "fp16" },
  { executionProvider: "tensorrt", precisions: null, precision: "fp16" },
  { executionProvider: "cpu", precisions: null, precision: "fp32" },
  { executionProvider: "cpu", precisions: ["fp16"], precision: "fp16" },
  { executionProvider: "cuda", precisions: ["q4", "int8", "fp32"], precision: "int8" },
  { executionProvider: "cuda", precisions: ["q4"], precision: "fp16" },
] as const)(
  "of several precisions, $executionProvider with the wish $precisions takes $precision",
  async (wish) => {
    addModel("a-model", {
      onnx: [...graphs, ...suffixed("_fp16"), ...suffixed("_int8"), "vision_encoder_q4"],
    });
    expect((await open({ wish }).list())[0]?.precision).toBe(wish.precision);
  },
);

test("the manifest's precision goes before the execution provider's, and the operators' wish before both", async () => {
  addModel("a-model", {
    onnx: [...graphs, ...suffixed("_fp16"), ...suffixed("_int8")],
    manifest: { precision: "fp32" },
  });
  const precisionWith = async (wish: PrecisionWish) => (await open({ wish }).list())[0]?.precision;
  expect(await precisionWith({ precisions: null, executionProvider: "cuda" })).toBe("fp32");
  expect(await precisionWith({ precisions: ["int8"], executionProvider: "cuda" })).toBe("int8");
});

test("a model's defaults are its manifest's, else those of its checkpoint, within its positions", async () => {
  const folder = addModel("a-model", { manifest: { defaults: { beams: 2 } } });
  writeFileSync(
    join(folder, "config.json"),
    JSON.stringify({
      text_config: { max_position_embeddings: 64, num_beams: 4, length_penalty: 2 },
    }),
  );
  writeFileSync(
    join(folder, "generation_config.json"),
    JSON.stringify({ num_beams: 5, no_repeat_ngram_size: 0, max_length: 200 }),
  );
  expect((await list())[0]?.defaults).toEqual({
    beams: 2,
    maxTokens: 64,
    noRepeatNgramSize: 0,
    lengthPenalty: 2,
  });
});

test("a graph that is missing in every precision is named", async () => {
  addModel("a-model", { onnx: graphs.slice(1) });
  expect((await list())[0]?.fault).toContain("vision_encoder");
});

test("what is no model folder is passed over: files, downloads in progress, hidden folders", async () => {
  writeFileSync(join(pulled, "notes.txt"), "");
  mkdirSync(join(pulled, "half", "onnx"), { recursive: true });
  addModel(".hidden");
  expect((await list()).map(({ id }) => id)).toEqual(["florence-2-nano"]);
});

const revision = (name: string, revision: string, changedAt: number) => {
  const folder = addModel(name, { manifest: { id: "a-model", revision } });
  utimesSync(folder, changedAt, changedAt);
  return folder;
};

test("revisions of one id stand side by side, that of the newest folder first", async () => {
  revision("a-folder", "1", 1_000);
  revision("b-folder", "3", 3_000);
  revision("c-folder", "2", 2_000);
  const models = await list();
  expect(models.map(({ id, revision }) => `${id}@${revision}`).slice(0, 3)).toEqual([
    "a-model@3",
    "a-model@2",
    "a-model@1",
  ]);
  expect(models.map(({ isDefault }) => isDefault)).toEqual([true, false, false, false]);
  expect(await standard({ chosen: "a-model@1" })).toMatchObject({ revision: "1" });
});

test("of two folders that claim one id and revision the newer is served; the other says where it is", async () => {
  const older = revision("older", "1", 1_000);
  revision("newer", "1", 2_000);
  const [first, second] = await list();
  expect(first).toMatchObject({ fault: null, folder: join(pulled, "newer") });
  expect(second).toMatchObject({
    fault: expect.stringContaining("newer"),
    folder: older,
    isDefault: false,
  });
});

test("aliases are with the model that they lead to, and one can be the default", async () => {
  revision("a-folder", "1", 1_000);
  revision("b-folder", "2", 2_000);
  const aliases = [
    { name: "prod", target: "a-model@1" },
    { name: "lost", target: "a-model@9" },
  ];
  const models = await open({ chosen: "prod" }, aliases).list();
  expect(models.map(({ aliases, isDefault }) => ({ aliases, isDefault })).slice(0, 2)).toEqual([
    { aliases: [], isDefault: false },
    { aliases: ["prod"], isDefault: true },
  ]);
});

test("a folder that comes, changes or goes is seen without a restart", async () => {
  const models = open();
  const ids = async () =>
    (await models.list({ isFresh: true }))
      .map(({ id, revision }) => `${id}@${revision}`)
      .slice(0, -1);
  expect(await ids()).toEqual([]);
  const folder = addModel("a-model", { manifest: { revision: "1" } });
  expect(await ids()).toEqual(["a-model@1"]);
  const [before] = await models.list({ isFresh: true });
  writeFileSync(join(folder, "vedere.json"), JSON.stringify({ revision: "longer" }));
  expect(await ids()).toEqual(["a-model@longer"]);
  expect((await models.list({ isFresh: true }))[0]?.stamp).not.toBe(before?.stamp);
  rmSync(folder, { recursive: true });
  expect(await ids()).toEqual([]);
});

test("a listing that is not asked to be fresh looks at the folders once a second at most", async () => {
  const models = open();
  expect(await models.list()).toHaveLength(1);
  addModel("a-model");
  expect(await models.list()).toHaveLength(1);
  expect(await models.list({ isFresh: true })).toHaveLength(2);
  expect(await models.list()).toHaveLength(2);
});

test("one broken folder leaves the others alone, and is never the default that nobody chose", async () => {
  addModel("a-model", { manifest: "{" });
  addModel("b-model");
  expect(
    (await list()).map(({ id, fault, isDefault }) => ({ id, isSound: fault === null, isDefault })),
  ).toEqual([
    { id: "a-model", isSound: false, isDefault: false },
    { id: "b-model", isSound: true, isDefault: true },
    { id: "florence-2-nano", isSound: true, isDefault: false },
  ]);
  await expect(standard({ chosen: "a-model" })).rejects.toMatchObject({
    code: "MODEL_UNAVAILABLE",
  });
});

test.each([
  {
    what: "a copy that has not all files yet",
    manifest: {},
    remove: "tokenizer.json",
    fault: "tokenizer.json",
  },
  {
    what: "a file that is shorter than it should be",
    manifest: { files: [{ path: "onnx/vision_encoder.onnx", bytes: 7, sha256: "0".repeat(64) }] },
    fault: "has 0 bytes instead of 7",
  },
  {
    what: "a graph missing in the precision that the manifest names",
    manifest: { precision: "int8" },
    fault: "onnx/vision_encoder_int8.onnx",
  },
  { what: "a precision that nobody knows", manifest: { precision: "fp8" }, fault: "fp8" },
  {
    what: "a build that did not pass its own test",
    manifest: { ready: false },
    fault: "vedere.json",
  },
])("$what is not served", async ({ manifest, remove, fault }) => {
  const folder = addModel("a-model", { manifest });
  if (remove) rmSync(join(folder, remove));
  const [model] = await list();
  expect(model).toMatchObject({
    id: "a-model",
    isDefault: false,
    fault: expect.stringContaining(fault),
  });
});

test("a precision for each graph becomes one text", async () => {
  addModel("a-model", {
    onnx: [
      "vision_encoder_fp16",
      "embed_tokens_fp16",
      "encoder_model_q4",
      "decoder_model_merged_q4",
    ],
    manifest: {
      precision: {
        vision_encoder: "fp16",
        embed_tokens: "fp16",
        encoder_model: "q4",
        decoder_model_merged: "q4",
      },
    },
  });
  expect((await list())[0]?.precision).toBe(
    "vision_encoder=fp16,embed_tokens=fp16,encoder_model=q4,decoder_model_merged=q4",
  );
});

test.each([
  { manifest: "{", field: "JSON object" },
  { manifest: [], field: "JSON object" },
  { manifest: { id: 7 }, field: "id" },
  { manifest: { description: null }, field: "description" },
  { manifest: { revision: "" }, field: "revision" },
  { manifest: { precision: ["fp32"] }, field: "precision" },
  { manifest: { licence: 1 }, field: "licence" },
  { manifest: { tasks: ["CAPTION", "DANCE"] }, field: "tasks" },
  { manifest: { tasks: [] }, field: "tasks" },
  { manifest: { defaults: { beams: "3" } }, field: "defaults" },
  { manifest: { defaults: { temperature: 1 } }, field: "defaults" },
  { manifest: { license: "MIT" }, field: "license" },
])(
  "a vedere.json of $manifest is refused, with its file and $field",
  async ({ manifest, field }) => {
    addModel("a-model", { manifest });
    const [model] = await list();
    expect(model?.fault).toMatch(/^vedere\.json: /);
    expect(model?.fault).toContain(field);
  },
);
