import { readJson, readModelConfig, unusable } from "../florence2/model-config.ts";
import { openTokens } from "../florence2/tokens.ts";

/**
 * The shape of a Florence-2, from its config.json in either spelling; lists are by stage of the
 * vision tower.
 */
export interface ModelShape {
  readonly vision: VisionShape;
  readonly text: TextShape;
}

export interface VisionShape {
  /** Of the input image. */
  readonly image: { readonly width: number; readonly height: number };
  readonly stages: readonly StageShape[];
  readonly window: number;
  /** Width of an MLP's middle over its input's. */
  readonly mlpRatio: number;
  /** Width of the image features. */
  readonly projection: number;
  /** Rows of the row and the column embedding each. */
  readonly positionsMax: number;
  /** Rows of the temporal embedding; a picture is frame 0. */
  readonly framesMax: number;
}

export interface StageShape {
  readonly width: number;
  /** Pairs of a spatial and a channel block. */
  readonly depth: number;
  readonly heads: number;
  readonly groups: number;
  readonly patch: {
    readonly size: number;
    readonly stride: number;
    readonly padding: number;
    readonly normFirst: boolean;
  };
}

export interface TextShape {
  readonly width: number;
  readonly encoder: { readonly layers: number; readonly heads: number; readonly middle: number };
  readonly decoder: { readonly layers: number; readonly heads: number; readonly middle: number };
  readonly positionsMax: number;
  /** Ids of the tokenizer: what a checkpoint's embedding has beyond is padding. */
  readonly vocabulary: number;
  /** The id of `<loc_0>`; the other 999 follow. */
  readonly firstLocation: number;
}

type Json = { readonly [key: string]: unknown };

/**
 * Reads the shape of a checkpoint from its config.json (either spelling), preprocessor_config.json
 * and tokenizer.json. Throws AppError MODEL_UNAVAILABLE.
 */
export async function readShape(folder: string): Promise<ModelShape> {
  const config = await readJson(folder, "config.json");
  const { pixels } = await readModelConfig(folder);
  const vocabulary = await readVocabulary(folder);
  return {
    vision: visionShape(part(config, "vision_config"), {
      width: pixels.width,
      height: pixels.height,
    }),
    text: { ...textShape(part(config, "text_config")), ...vocabulary },
  };
}

function visionShape(json: Json, image: VisionShape["image"]): VisionShape {
  const widths = counts(json, json.embed_dim === undefined ? "dim_embed" : "embed_dim");
  const list = (key: string) => {
    const values = counts(json, key);
    if (values.length === widths.length) return values;
    throw unusable("config.json", `has ${values.length} "${key}" for ${widths.length} stages`);
  };
  const [depths, heads, groups] = ["depths", "num_heads", "num_groups"].map(list);
  const [sizes, strides, paddings] = ["patch_size", "patch_stride", "patch_padding"].map(list);
  const normFirst = json.patch_prenorm;
  if (!Array.isArray(normFirst) || normFirst.length !== widths.length)
    throw unusable("config.json", `lacks a "patch_prenorm" for each stage`);
  const at = (values: readonly number[] | undefined, i: number) => values?.[i] ?? 0;
  const stages = widths.map((width, i): StageShape => {
    const patch = {
      size: at(sizes, i),
      stride: at(strides, i),
      padding: at(paddings, i),
      normFirst: normFirst[i] === true,
    };
    return { width, depth: at(depths, i), heads: at(heads, i), groups: at(groups, i), patch };
  });
  const inner = (name: string) => (json[name] === undefined ? json : part(json, name));
  const [position, time] = [inner("image_pos_embed"), inner("visual_temporal_embedding")];
  return {
    image,
    stages,
    window: count(json, "window_size"),
    mlpRatio: typeof json.mlp_ratio === "number" ? json.mlp_ratio : 4,
    projection: count(json, "projection_dim"),
    positionsMax: count(
      position,
      position === json ? "max_position_embeddings" : "max_pos_embeddings",
    ),
    framesMax: count(time, "max_temporal_embeddings"),
  };
}

function textShape(json: Json): Omit<TextShape, "vocabulary" | "firstLocation"> {
  const side = (name: "encoder" | "decoder") => ({
    layers: count(json, `${name}_layers`),
    heads: count(json, `${name}_attention_heads`),
    middle: count(json, `${name}_ffn_dim`),
  });
  const width = count(json, "d_model");
  const [encoder, decoder] = [side("encoder"), side("decoder")];
  if (width % encoder.heads !== 0 || width % decoder.heads !== 0)
    throw unusable("config.json", `has a d_model that the heads do not divide`);
  if (json.scale_embedding === true)
    throw unusable("config.json", `asks for scale_embedding, which Florence-2 does not have`);
  return { width, encoder, decoder, positionsMax: count(json, "max_position_embeddings") };
}

async function readVocabulary(
  folder: string,
): Promise<Pick<TextShape, "vocabulary" | "firstLocation">> {
  const tokens = await openTokens(folder);
  const idOf = (text: string) => {
    const ids = tokens.encode(text).filter((id) => id !== tokens.bos && id !== tokens.eos);
    return ids.length === 1 ? (ids[0] ?? -1) : -1;
  };
  const firstLocation = idOf("<loc_0>");
  const wrong = Array.from({ length: 1000 }, (_, i) => i).find(
    (i) => firstLocation < 0 || idOf(`<loc_${i}>`) !== firstLocation + i,
  );
  if (wrong !== undefined)
    throw unusable(
      "tokenizer.json",
      `does not have <loc_${wrong}> as one token in its place among 1000`,
    );
  return { vocabulary: tokens.count, firstLocation };
}

function part(json: Json, key: string): Json {
  const value = json[key];
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  throw unusable("config.json", `lacks the object "${key}"`);
}

function count(json: Json, key: string): number {
  const value = json[key];
  if (typeof value === "number" && Number.isInteger(value) && value > 0) return value;
  throw unusable("config.json", `lacks a positive integer "${key}"`);
}

function counts(json: Json, key: string): number[] {
  const value = json[key];
  if (
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((item) => Number.isInteger(item) && item >= 0)
  )
    return value;
  throw unusable("config.json", `lacks a list of integers "${key}"`);
}
