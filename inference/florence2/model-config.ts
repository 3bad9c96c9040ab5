import { readFile } from "node:fs/promises";
import path from "node:path";
import { AppError } from "../../core/errors.ts";
import { savedOptions } from "../../core/generation.ts";
import type { GenerateOptions } from "../../schema/task.ts";

/** What the JSON files of a model folder say about it. */
export interface ModelConfig {
  /** Width of the embeddings. */
  readonly width: number;
  readonly decoder: {
    readonly layers: number;
    readonly heads: number;
    readonly startToken: number;
  };
  /** Most positions of the encoder (image tokens and prompt) and of the decoder. */
  readonly positionsMax: number;
  readonly generation: GenerationDefaults;
  readonly pixels: PixelFormat;
}

/** What the checkpoint says of how to search. */
export interface GenerationDefaults extends GenerateOptions {
  readonly earlyStopping: boolean | "never" | null;
}

/**
 * The model's input image: its size, and (value · scale - mean) / deviation for each of red, green
 * and blue.
 */
export interface PixelFormat {
  readonly width: number;
  readonly height: number;
  readonly scale: number;
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
}

type Json = { readonly [key: string]: unknown };

/**
 * Reads the configuration of a model folder. Throws AppError MODEL_UNAVAILABLE, naming file and
 * key.
 */
export async function readModelConfig(folder: string): Promise<ModelConfig> {
  const config = await readJson(folder, "config.json");
  const text = part(config, "text_config", "config.json");
  const width = positive(text, "d_model", "config.json");
  return {
    width,
    decoder: {
      layers: positive(text, "decoder_layers", "config.json"),
      heads: positive(text, "decoder_attention_heads", "config.json"),
      startToken: whole(text.decoder_start_token_id) ?? 2,
    },
    positionsMax: positive(text, "max_position_embeddings", "config.json"),
    generation: generationDefaults(await readJson(folder, "generation_config.json", {}), text),
    pixels: pixelFormat(await readJson(folder, "preprocessor_config.json")),
  };
}

/** A JSON object of a model folder, or `otherwise` where the file is missing. */
export async function readJson(folder: string, file: string, otherwise?: Json): Promise<Json> {
  let text: string;
  try {
    text = await readFile(path.join(folder, file), "utf8");
  } catch (cause) {
    if (otherwise && cause instanceof Error && "code" in cause && cause.code === "ENOENT")
      return otherwise;
    throw unusable(file, "cannot be read", cause);
  }
  try {
    const json: unknown = JSON.parse(text);
    if (isObject(json)) return json;
  } catch (cause) {
    throw unusable(file, "is not JSON", cause);
  }
  throw unusable(file, "is not a JSON object");
}

/** The error for a model file that does not do. */
export function unusable(file: string, what: string, cause?: unknown): AppError {
  return new AppError("MODEL_UNAVAILABLE", `The model's file ${file} ${what}.`, {
    fix: `Put a good ${file} into the model's folder, or fetch the model anew with \`vedere models pull\`.`,
    cause,
  });
}

/**
 * Only how to search is taken from here: the ids of special tokens that fine-tunes save in
 * generation_config.json can be wrong (seen: eos 1, pad 0), so those always come from the
 * tokenizer.
 */
function generationDefaults(generation: Json, text: Json): GenerationDefaults {
  const early = generation.early_stopping ?? text.early_stopping;
  return {
    ...savedOptions(generation, text),
    earlyStopping: typeof early === "boolean" || early === "never" ? early : null,
  };
}

function pixelFormat(preprocessor: Json): PixelFormat {
  const file = "preprocessor_config.json";
  const size = part(preprocessor, isObject(preprocessor.crop_size) ? "crop_size" : "size", file);
  const scale = preprocessor.rescale_factor ?? 1 / 255;
  if (typeof scale !== "number") throw unusable(file, "has a rescale_factor that is no number");
  return {
    width: positive(size, "width", file),
    height: positive(size, "height", file),
    scale,
    mean: triple(preprocessor, "image_mean", file),
    deviation: triple(preprocessor, "image_std", file),
  };
}

function part(json: Json, key: string, file: string): Json {
  const value = json[key];
  if (isObject(value)) return value;
  throw unusable(file, `lacks the object "${key}"`);
}

function positive(json: Json, key: string, file: string): number {
  const value = atLeast(1, whole(json[key]));
  if (value === null) throw unusable(file, `lacks a positive integer "${key}"`);
  return value;
}

function triple(json: Json, key: string, file: string): number[] {
  const value = json[key];
  if (Array.isArray(value) && value.length === 3 && value.every((item) => typeof item === "number"))
    return value;
  throw unusable(file, `lacks three numbers "${key}"`);
}

function whole(value: unknown): number | null {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 ? value : null;
}

function atLeast(least: number, value: number | null): number | null {
  return value !== null && value >= least ? value : null;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
