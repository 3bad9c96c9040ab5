import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openModels } from "../../adapters/model-folders.ts";
import { packageRoot } from "../../adapters/package-root.ts";

const embedded = join(packageRoot(), "models", "florence-2-nano");
const graphs = ["vision_encoder", "embed_tokens", "encoder_model", "decoder_model_merged"];

let pulled: string;
beforeEach(() => {
  pulled = mkdtempSync(join(tmpdir(), "vedere-models-"));
});
afterEach(() => rmSync(pulled, { recursive: true }));

/** A model folder of empty files. */
function addModel(name: string, content: { onnx?: readonly string[]; manifest?: unknown } = {}): string {
  const folder = join(pulled, name);
  mkdirSync(join(folder, "onnx"), { recursive: true });
  for (const file of ["config.json", "tokenizer.json"]) writeFileSync(join(folder, file), "{}");
  for (const graph of content.onnx ?? graphs) writeFileSync(join(folder, "onnx", `${graph}.onnx`), "");
  const { manifest } = content;
  if (manifest !== undefined)
    writeFileSync(join(folder, "vedere.json"), typeof manifest === "string" ? manifest : JSON.stringify(manifest));
  return folder;
}

const list = async (chosen: string | null = null) => (await openModels({ embedded, pulled, chosen })).list();
const defaultOf = async (chosen: string | null = null) => (await list(chosen)).filter(({ isDefault }) => isDefault).map(({ id }) => id);
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
  await expect(list("c-model")).rejects.toMatchObject({
    code: "MODEL_NOT_FOUND",
    message: expect.stringContaining("a-model, florence-2-nano"),
  });
});

test("no model at all is refused", async () => {
  const nowhere = openModels({ embedded: join(pulled, "none"), pulled, chosen: null });
  await expect(nowhere).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
});

test("a folder without vedere.json is described by what lies in it", async () => {
  const folder = addModel("florence-2-base", { onnx: suffixed("_fp16") });
  addModel("florence-2-base-ft");
  const [base, tuned] = await list();
  expect(base).toMatchObject({ id: "florence-2-base", revision: "unknown", precision: "fp16", folder, defaults: {} });
  expect(base?.tasks).toHaveLength(9);
  expect(base?.tasks).not.toContain("ASK");
  expect(tuned?.tasks).toContain("ASK");
});

test.each([
  { what: "the preferred of several", onnx: [...suffixed("_q4"), ...suffixed("_quantized")], precision: "q8" },
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
    onnx: ["vision_encoder_fp16", "embed_tokens_fp16", "encoder_model_q4", "decoder_model_merged_q4"],
    precision: "vision_encoder=fp16,embed_tokens=fp16,encoder_model=q4,decoder_model_merged=q4",
  },
])("the precision is found from the files: $what", async ({ onnx, precision }) => {
  addModel("a-model", { onnx });
  expect((await list())[0]?.precision).toBe(precision);
});

test("a graph that is missing in every precision is named", async () => {
  addModel("a-model", { onnx: graphs.slice(1) });
  await expect(list()).rejects.toMatchObject({ code: "MODEL_UNAVAILABLE", message: expect.stringContaining("vision_encoder") });
});

test("what is no model folder is passed over: files, downloads in progress, hidden folders", async () => {
  writeFileSync(join(pulled, "notes.txt"), "");
  mkdirSync(join(pulled, "half", "onnx"), { recursive: true });
  addModel(".hidden");
  expect((await list()).map(({ id }) => id)).toEqual(["florence-2-nano"]);
});

test("two models of one id are refused, with both folders", async () => {
  const folder = addModel("another", { manifest: { id: "florence-2-nano" } });
  await expect(list()).rejects.toMatchObject({ code: "MODEL_UNAVAILABLE", message: expect.stringContaining(folder) });
});

test("a precision for each graph becomes one text", async () => {
  addModel("a-model", {
    manifest: { precision: { vision_encoder: "fp16", embed_tokens: "fp16", encoder_model: "q4", decoder_model_merged: "q4" } },
  });
  expect((await list())[0]?.precision).toBe("vision_encoder=fp16,embed_tokens=fp16,encoder_model=q4,decoder_model_merged=q4");
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
])("a vedere.json of $manifest is refused, with its file and $field", async ({ manifest, field }) => {
  const folder = addModel("a-model", { manifest });
  const error: unknown = await list().catch((cause: unknown) => cause);
  expect(error).toMatchObject({ code: "MODEL_UNAVAILABLE", message: expect.stringContaining(join(folder, "vedere.json")) });
  expect(String(error)).toContain(field);
});
