import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { AppError } from "../../core/errors.ts";
import {
  type GraphName,
  graphNames,
  type Precision,
  precisionSuffixes,
  stepDecoder,
} from "../../core/model-layout.ts";
import type { ModelInfo } from "../../core/ports.ts";
import { unusable } from "./model-config.ts";

export type Precisions = Readonly<Record<GraphName, Precision>>;

/** Paths relative to the model's folder. */
export interface ModelFiles {
  readonly precisions: Precisions;
  /** "step" where `vedere models build` wrote the decoder: `core/model-layout.ts`. */
  readonly layout: "public" | "step";
  readonly vision: string;
  readonly embed: string;
  readonly encoder: string;
  /** The same file twice in the step layout, and where both branches are merged into one graph. */
  readonly decoder: { readonly first: string; readonly next: string };
}

/**
 * Chooses the graph files of a model. The precision is one name for all graphs, or one for each:
 * `vision_encoder=fp16,…`. Throws AppError MODEL_UNAVAILABLE, naming the file that is missing.
 */
export async function findModelFiles(
  info: Pick<ModelInfo, "id" | "folder" | "precision">,
): Promise<ModelFiles> {
  const precisions = precisionsOf(info.precision);
  const present = new Set(await filesIn(info.folder));
  const find = (graph: string, precision: Precision) => {
    const file = `onnx/${graph}${precisionSuffixes[precision]}.onnx`;
    return present.has(file) ? file : null;
  };
  const need = (graph: string, precision: Precision) => {
    const file = find(graph, precision);
    if (file) return file;
    throw unusable(
      `onnx/${graph}${precisionSuffixes[precision]}.onnx`,
      `(precision ${precision} of ${info.id}) is missing`,
    );
  };
  const decoder = precisions.decoder_model_merged;
  const step = find(stepDecoder, decoder);
  return {
    precisions,
    layout: step ? "step" : "public",
    vision: need("vision_encoder", precisions.vision_encoder),
    embed: need("embed_tokens", precisions.embed_tokens),
    encoder: need("encoder_model", precisions.encoder_model),
    decoder: step ? { first: step, next: step } : publicDecoder(),
  };

  function publicDecoder(): ModelFiles["decoder"] {
    const split = find("decoder_model", decoder) && !find("decoder_model_merged", decoder);
    return {
      first: need(split ? "decoder_model" : "decoder_model_merged", decoder),
      next: need(split ? "decoder_with_past_model" : "decoder_model_merged", decoder),
    };
  }
}

/**
 * One precision for each graph, out of a single name, a list `graph=name,…` or an object with the
 * graphs as keys.
 */
export function precisionsOf(setting: string | Readonly<Record<string, unknown>>): Precisions {
  const given = new Map(
    typeof setting === "string" ? assignmentsOf(setting) : Object.entries(setting),
  );
  for (const otherName of ["decoder_model", stepDecoder]) {
    if (!given.has("decoder_model_merged") && given.has(otherName))
      given.set("decoder_model_merged", given.get(otherName));
    given.delete(otherName);
  }
  const of = (graph: GraphName): Precision => {
    const name = given.get(graph);
    given.delete(graph);
    if (typeof name === "string" && isPrecision(name)) return name;
    throw badPrecision(
      `${graph} has the precision ${name === undefined ? "none" : JSON.stringify(name)}`,
    );
  };
  const [vision_encoder, embed_tokens] = [of("vision_encoder"), of("embed_tokens")];
  const precisions = {
    vision_encoder,
    embed_tokens,
    encoder_model: of("encoder_model"),
    decoder_model_merged: of("decoder_model_merged"),
  };
  if (given.size > 0)
    throw badPrecision(`${[...given.keys()].join(", ")} is no graph of Florence-2`);
  return precisions;
}

/** The name of a set of precisions: one word where all graphs have the same. */
export function precisionName(precisions: Precisions): string {
  const names = new Set(Object.values(precisions));
  return names.size === 1
    ? [...names].join()
    : graphNames.map((graph) => `${graph}=${precisions[graph]}`).join(",");
}

/**
 * The sha256 of every file that an answer depends on, weights stored outside of their graphs
 * included; sorted by path.
 */
export async function hashModelFiles(
  folder: string,
  files: ModelFiles,
): Promise<{ path: string; sha256: string }[]> {
  const graphs = [
    files.vision,
    files.embed,
    files.encoder,
    files.decoder.first,
    files.decoder.next,
  ];
  const configs = [
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
  ];
  const present = await filesIn(folder);
  const used = present.filter(
    (file) =>
      configs.includes(file) ||
      graphs.some((graph) => file === graph || file.startsWith(`${graph}_data`)),
  );
  return Promise.all(
    used
      .sort()
      .map(async (file) => ({ path: file, sha256: await sha256Of(path.join(folder, file)) })),
  );
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash);
  return hash.digest("hex");
}

async function filesIn(folder: string): Promise<string[]> {
  try {
    const inner = await readdir(path.join(folder, "onnx"));
    return [...(await readdir(folder)), ...inner.map((file) => `onnx/${file}`)];
  } catch (cause) {
    throw new AppError(
      "MODEL_UNAVAILABLE",
      `The model's folder ${folder} or its folder onnx cannot be read.`,
      {
        fix: "Fetch the model anew with `vedere models pull`, or name the folder that holds config.json and onnx/.",
        cause,
      },
    );
  }
}

function assignmentsOf(setting: string): [string, unknown][] {
  if (!setting.includes("=")) return graphNames.map((graph) => [graph, setting]);
  return setting.split(",").map((assignment) => {
    const [graph = "", name] = assignment.split("=");
    return [graph.trim(), name?.trim()];
  });
}

function isPrecision(name: string): name is Precision {
  return Object.hasOwn(precisionSuffixes, name);
}

function badPrecision(what: string): AppError {
  const example = "vision_encoder=fp16,embed_tokens=fp16,encoder_model=q4,decoder_model_merged=q4";
  return new AppError("MODEL_UNAVAILABLE", `The model's precision is not usable: ${what}.`, {
    fix: `Use one of ${Object.keys(precisionSuffixes).join(", ")} for all graphs, or one for each, as in ${example}.`,
  });
}
