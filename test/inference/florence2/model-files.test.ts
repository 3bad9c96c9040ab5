import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readModelConfig } from "../../../inference/florence2/model-config.ts";
import {
  findModelFiles,
  hashModelFiles,
  precisionName,
  precisionsOf,
} from "../../../inference/florence2/model-files.ts";
import { nanoFolder } from "./fixtures.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "vedere-model-"));
  await mkdir(path.join(folder, "onnx"));
});
afterEach(() => rm(folder, { recursive: true }));

const put = (file: string, text = "x") => writeFile(path.join(folder, file), text);
const putGraphs = (...names: string[]) =>
  Promise.all(names.map((name) => put(`onnx/${name}.onnx`)));
const find = (precision: string) => findModelFiles({ id: "model", folder, precision });

describe("the files of a model", () => {
  test.each([
    ["fp32", ""],
    ["fp16", "_fp16"],
    ["q8", "_quantized"],
    ["int8", "_int8"],
    ["uint8", "_uint8"],
    ["q4", "_q4"],
    ["q4f16", "_q4f16"],
    ["bnb4", "_bnb4"],
  ])("of precision %s end in %j", async (precision, suffix) => {
    await putGraphs(
      ...["vision_encoder", "embed_tokens", "encoder_model", "decoder_model_merged"].map(
        (graph) => graph + suffix,
      ),
    );
    expect(await find(precision)).toMatchObject({
      vision: `onnx/vision_encoder${suffix}.onnx`,
      embed: `onnx/embed_tokens${suffix}.onnx`,
      encoder: `onnx/encoder_model${suffix}.onnx`,
      decoder: {
        first: `onnx/decoder_model_merged${suffix}.onnx`,
        next: `onnx/decoder_model_merged${suffix}.onnx`,
      },
    });
  });

  test("may have a precision for each graph", async () => {
    await putGraphs(
      "vision_encoder_fp16",
      "embed_tokens_fp16",
      "encoder_model_q4",
      "decoder_model_merged_q4",
    );
    const mixed = "vision_encoder=fp16,embed_tokens=fp16,encoder_model=q4,decoder_model_merged=q4";
    const files = await find(mixed);
    expect(files).toMatchObject({
      vision: "onnx/vision_encoder_fp16.onnx",
      decoder: { first: "onnx/decoder_model_merged_q4.onnx" },
    });
    expect(precisionName(files.precisions)).toBe(mixed);
  });

  test("may hold the decoder as two graphs", async () => {
    await putGraphs(
      "vision_encoder",
      "embed_tokens",
      "encoder_model",
      "decoder_model",
      "decoder_with_past_model",
    );
    expect((await find("fp32")).decoder).toEqual({
      first: "onnx/decoder_model.onnx",
      next: "onnx/decoder_with_past_model.onnx",
    });
    await rm(path.join(folder, "onnx/decoder_with_past_model.onnx"));
    await expect(find("fp32")).rejects.toMatchObject({
      message: expect.stringContaining("onnx/decoder_with_past_model.onnx"),
    });
  });

  test("may hold the decoder of the step layout, which is taken where it stands beside another", async () => {
    const others = ["vision_encoder", "embed_tokens", "encoder_model"].map(
      (graph) => `${graph}_q4`,
    );
    await putGraphs(...others, "decoder_model_merged_q4", "decoder_step");
    expect(await find("q4")).toMatchObject({
      layout: "public",
      decoder: { first: "onnx/decoder_model_merged_q4.onnx" },
    });
    await putGraphs("decoder_step_q4");
    const files = await find("q4");
    expect(files).toMatchObject({
      layout: "step",
      decoder: { first: "onnx/decoder_step_q4.onnx", next: "onnx/decoder_step_q4.onnx" },
    });
    const hashed = (await hashModelFiles(folder, files)).map((file) => file.path);
    expect(hashed).toEqual(
      ["onnx/decoder_step_q4.onnx", ...others.map((graph) => `onnx/${graph}.onnx`)].sort(),
    );
    expect(
      precisionsOf("vision_encoder=fp16,embed_tokens=fp16,encoder_model=q4,decoder_step=q4")
        .decoder_model_merged,
    ).toBe("q4");
  });

  test("that are missing are named", async () => {
    await putGraphs("vision_encoder", "embed_tokens", "encoder_model");
    await expect(find("fp32")).rejects.toMatchObject({
      code: "MODEL_UNAVAILABLE",
      message: expect.stringContaining("onnx/decoder_model_merged.onnx"),
      fix: expect.any(String),
    });
    await expect(find("q8")).rejects.toMatchObject({
      message: expect.stringContaining("onnx/vision_encoder_quantized.onnx"),
    });
    await expect(
      findModelFiles({ id: "m", folder: "/nowhere", precision: "fp32" }),
    ).rejects.toMatchObject({ code: "MODEL_UNAVAILABLE" });
  });

  test.each([
    "fp64",
    "",
    "vision_encoder=fp16",
    "vision_encoder=fp16,embed_tokens=fp16,encoder_model=q4,decoder_model=q4,head=q4",
  ])("of an unknown precision %j are refused with the known ones", (setting) => {
    expect(() => precisionsOf(setting)).toThrowError(
      expect.objectContaining({ code: "MODEL_UNAVAILABLE", fix: expect.stringContaining("q4f16") }),
    );
  });

  test("are known by their sha256, weights outside of the graph included", async () => {
    await putGraphs(
      "vision_encoder",
      "embed_tokens",
      "encoder_model",
      "decoder_model_merged",
      "vision_encoder_fp16",
    );
    await Promise.all([
      put("config.json"),
      put("tokenizer.json"),
      put("README.md"),
      put("onnx/vision_encoder.onnx_data", ""),
    ]);
    const hashes = await hashModelFiles(folder, await find("fp32"));
    expect(hashes.map((file) => file.path)).toEqual([
      "config.json",
      "onnx/decoder_model_merged.onnx",
      "onnx/embed_tokens.onnx",
      "onnx/encoder_model.onnx",
      "onnx/vision_encoder.onnx",
      "onnx/vision_encoder.onnx_data",
      "tokenizer.json",
    ]);
    expect(hashes[0]?.sha256).toBe(
      "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
    ); // of "x"
    expect(hashes[5]?.sha256).toBe(
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ); // of nothing
  });
});

describe("the configuration of a model", () => {
  const copy = (file: string) => cp(path.join(nanoFolder, file), path.join(folder, file));
  beforeEach(() =>
    Promise.all(["config.json", "generation_config.json", "preprocessor_config.json"].map(copy)),
  );

  test("of florence-2-nano is read whole", async () => {
    const config = await readModelConfig(folder);
    expect(config).toMatchObject({
      width: 128,
      decoder: { layers: 2, heads: 8, startToken: 2 },
      positionsMax: 512,
    });
    expect(config.generation).toEqual({
      beams: 1,
      maxTokens: null,
      noRepeatNgramSize: 0,
      lengthPenalty: null,
      earlyStopping: false,
    });
    expect(config.pixels).toMatchObject({ width: 128, height: 128, mean: [0.485, 0.456, 0.406] });
  });

  test("may say how to search in generation_config.json, or else in config.json, or nowhere", async () => {
    const text = {
      d_model: 8,
      decoder_layers: 1,
      decoder_attention_heads: 1,
      max_position_embeddings: 64,
      num_beams: 5,
      early_stopping: "never",
    };
    await put("config.json", JSON.stringify({ text_config: text }));
    await put(
      "generation_config.json",
      JSON.stringify({ num_beams: 2, max_new_tokens: 40, length_penalty: 0.5 }),
    );
    const generation = {
      beams: 2,
      maxTokens: 40,
      noRepeatNgramSize: null,
      lengthPenalty: 0.5,
      earlyStopping: "never",
    };
    expect((await readModelConfig(folder)).generation).toEqual(generation);
    await rm(path.join(folder, "generation_config.json"));
    expect((await readModelConfig(folder)).generation).toMatchObject({ beams: 5, maxTokens: null });
  });

  test("does not take transformers' placeholder length 20 for a wish", async () => {
    await put("generation_config.json", JSON.stringify({ max_length: 20 }));
    expect((await readModelConfig(folder)).generation.maxTokens).toBeNull();
    await put("generation_config.json", JSON.stringify({ max_length: 65 }));
    expect((await readModelConfig(folder)).generation.maxTokens).toBe(64);
  });

  test.each([
    ["config.json", "{}", "text_config"],
    ["config.json", '{"text_config":{"d_model":"wide"}}', "d_model"],
    ["config.json", "[]", "not a JSON object"],
    ["preprocessor_config.json", '{"size":{"shortest_edge":768}}', "width"],
    [
      "preprocessor_config.json",
      '{"size":{"width":8,"height":8},"image_mean":[0.5]}',
      "image_mean",
    ],
    ["generation_config.json", "{", "not JSON"],
  ])("that is bad is refused: %s holding %s", async (file, text, reason) => {
    await put(file, text);
    await expect(readModelConfig(folder)).rejects.toMatchObject({
      code: "MODEL_UNAVAILABLE",
      message: expect.stringContaining(file),
    });
    await expect(readModelConfig(folder)).rejects.toMatchObject({
      message: expect.stringContaining(reason),
    });
  });
});
