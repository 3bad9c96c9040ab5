import { createHash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { type FullOptions, fillOptions, savedOptions } from "../core/generation.ts";
import type { ModelInfo } from "../core/ports.ts";
import type { GenerateOptions } from "../schema/task.ts";
import { optionBounds } from "../schema/tasks/input.ts";
import { visionTasks } from "../schema/tasks.ts";
import { type Manifest, manifestFile, readManifest } from "./model-manifest.ts";
import { choosePrecision, type PrecisionWish } from "./model-precision.ts";
import { systemFault } from "./system-fault.ts";

/** A model as its folder alone describes it. */
export type FolderModel = Omit<ModelInfo, "isDefault" | "aliases">;

/** What lies in a model's folder. */
export interface FolderState {
  readonly folder: string;
  /** Bytes by path relative to the folder, those of onnx/ included. */
  readonly files: ReadonlyMap<string, number>;
  /** Names the files, their sizes and times: another one means that something was changed. */
  readonly stamp: string;
  /** When a file was added, replaced or removed, in milliseconds since 1970. */
  readonly changedAt: number;
}

/**
 * Looks at a folder without reading its files; null where it is no model's: a download in progress,
 * or anything else.
 */
export async function lookAt(folder: string): Promise<FolderState | null> {
  try {
    const inner = await readdir(join(folder, "onnx")).catch(noneWhereMissing);
    const names = [...(await readdir(folder)), ...inner.map((name) => `onnx/${name}`)].sort();
    if (!names.includes("config.json") && !names.includes(manifestFile)) return null;
    const seen = (await Promise.all(names.map((name) => statsOf(folder, name)))).flat();
    const { mtimeMs: changedAt } = await stat(folder);
    return {
      folder,
      files: new Map(seen.map(({ name, size }) => [name, size])),
      changedAt,
      stamp: digest(JSON.stringify(seen)),
    };
  } catch (error) {
    if (isMissing(error)) return null; // it was taken away while we looked
    return { folder, files: new Map(), changedAt: 0, stamp: String(error) }; // what is wrong is told by whoever reads it
  }
}

/**
 * Reads what a folder says about its model. Never throws: what is wrong with it is its `fault`,
 * with paths relative to the folder.
 */
export async function readModelFolder(
  state: FolderState,
  wish: PrecisionWish,
): Promise<FolderModel> {
  const { folder, stamp } = state;
  const name = basename(folder);
  const { value: manifest, fault } = await orFault(() => readManifest(folder), folder);
  const read =
    fault === null
      ? await orFault(() => readFiles(state, manifest, wish), folder)
      : { value: null, fault };
  const id = manifest?.id ?? name;
  return {
    id,
    description: manifest?.description ?? `Florence-2 from the folder ${name}.`,
    revision: manifest?.revision ?? "unknown",
    // Only fine-tunes have learned to answer questions; by the publishers' custom their names end
    // with -ft.
    tasks:
      manifest?.tasks ??
      visionTasks.map((task) => task.name).filter((task) => task !== "ASK" || id.endsWith("-ft")),
    precision: manifest?.precision ?? "unknown",
    defaults: manifest?.defaults ?? {},
    ...read.value,
    fault: read.fault,
    folder,
    stamp,
  };
}

/** What the other files add to the manifest. Throws where the model cannot be run. */
async function readFiles(
  { folder, files }: FolderState,
  manifest: Manifest | null,
  wish: PrecisionWish,
) {
  const fault = faultOf(files, manifest);
  if (fault !== null) throw new Error(fault);
  const graphs = [...files.keys()]
    .filter((file) => file.startsWith("onnx/"))
    .map((file) => file.slice("onnx/".length));
  const precision = choosePrecision(graphs, wish, manifest?.precision ?? null);
  return {
    precision,
    defaults: await readDefaults(
      folder,
      files.has("generation_config.json"),
      manifest?.defaults ?? {},
    ),
  };
}

async function orFault<Value>(
  read: () => Promise<Value>,
  folder: string,
): Promise<{ value: Value | null; fault: string | null }> {
  try {
    return { value: await read(), fault: null };
  } catch (error) {
    const message =
      systemFault(error)?.message ?? (error instanceof Error ? error.message : String(error));
    return { value: null, fault: message.replaceAll(`${folder}/`, "") };
  }
}

/**
 * What can be seen without opening the files: a copy in progress, or a build that did not pass its
 * own test.
 */
function faultOf(sizes: FolderState["files"], manifest: Manifest | null): string | null {
  const needed = [
    "config.json",
    "tokenizer.json",
    "onnx",
    ...(manifest?.files ?? []).map(({ path }) => path),
  ];
  const missing = [...new Set(needed)].filter((name) => !sizes.has(name));
  if (missing.length > 0) return `It lacks ${missing.join(", ")}.`;
  const cut = manifest?.files?.find(({ path, bytes }) => sizes.get(path) !== bytes);
  if (cut) return `${cut.path} has ${sizes.get(cut.path)} bytes instead of ${cut.bytes}.`;
  return manifest?.fault ?? null;
}

/** With none left open; an answer is never longer than the decoder's positions. */
async function readDefaults(
  folder: string,
  hasGeneration: boolean,
  declared: GenerateOptions,
): Promise<FullOptions> {
  const { text_config } = await readJson(join(folder, "config.json"));
  const text = isObject(text_config) ? text_config : {};
  const generation = hasGeneration ? await readJson(join(folder, "generation_config.json")) : {};
  const options = fillOptions(declared, savedOptions(generation, text));
  const { max_position_embeddings: positions } = text;
  const { max } = optionBounds.maxTokens;
  return {
    ...options,
    maxTokens: Math.min(options.maxTokens, typeof positions === "number" ? positions : max, max),
  };
}

async function readJson(path: string): Promise<Record<string, unknown>> {
  const content = await readFile(path, "utf8");
  try {
    const json: unknown = JSON.parse(content);
    if (isObject(json)) return json;
  } catch (cause) {
    throw new Error(`${path} is not JSON.`, { cause });
  }
  throw new Error(`${path} is not a JSON object.`);
}

/** None where the file is gone since its name was read, or is a link to nowhere. */
async function statsOf(
  folder: string,
  name: string,
): Promise<{ name: string; size: number; mtimeMs: number }[]> {
  const stats = await stat(join(folder, name)).catch(noneWhereMissing);
  return "size" in stats ? [{ name, size: stats.size, mtimeMs: stats.mtimeMs }] : [];
}

/** For readers of folders: none where there is no such folder. Throws every other error again. */
export function noneWhereMissing(error: unknown): never[] {
  if (isMissing(error)) return [];
  throw error;
}

function isMissing(error: unknown): boolean {
  return (
    error instanceof Error &&
    "code" in error &&
    (error.code === "ENOENT" || error.code === "ENOTDIR")
  );
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 12);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
