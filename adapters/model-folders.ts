import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { AppError } from "../core/errors.ts";
import { graphNames, precisionSuffixes } from "../core/model-layout.ts";
import type { ModelInfo, Models } from "../core/ports.ts";
import { visionTasks } from "../schema/tasks.ts";
import type { Config } from "./config.ts";
import { type Manifest, parseManifest, precisionText } from "./model-manifest.ts";
import { packageRoot } from "./package-root.ts";

/** Where the models are that `openModels` looks for. */
export interface ModelPlaces {
  /** The folder of the model that comes with the package. */
  readonly embedded: string;
  /** The folder that holds a folder of each pulled model. */
  readonly pulled: string;
  /** The id of the default model, where one was chosen. */
  readonly chosen: string | null;
}

export function modelPlaces(config: Pick<Config, "dataDir" | "model">): ModelPlaces {
  return {
    embedded: join(packageRoot(), "models", "florence-2-nano"),
    pulled: join(config.dataDir, "models"),
    chosen: config.model,
  };
}

/**
 * The models in folders, looked up once, at start. The default is the chosen model, else the first pulled one by id, else the embedded
 * one. Throws AppError: MODEL_NOT_FOUND where the chosen model is not there, MODEL_UNAVAILABLE where a folder cannot be used.
 */
export async function openModels(places: ModelPlaces): Promise<Models> {
  const pulled = await Promise.all((await modelFoldersIn(places.pulled)).map(readModel));
  const embedded = (await isModelFolder(places.embedded)) ? [await readModel(places.embedded)] : [];
  const found = [...pulled.sort((a, b) => (a.id < b.id ? -1 : 1)), ...embedded];
  refuseTwins(found);
  const standard = places.chosen === null ? found[0] : found.find((model) => model.id === places.chosen);
  if (!standard) throw notFound(places, found);
  const models: readonly ModelInfo[] = Object.freeze(found.map((model) => Object.freeze({ ...model, isDefault: model === standard })));
  return { list: async () => models.slice() };
}

type UnrankedModel = Omit<ModelInfo, "isDefault">;

async function readModel(folder: string): Promise<UnrankedModel> {
  const manifest = await readManifest(folder);
  const id = manifest?.id ?? basename(folder);
  return {
    id,
    description: manifest?.description ?? `Florence-2 from the folder ${basename(folder)}.`,
    revision: manifest?.revision ?? "unknown",
    precision: manifest?.precision ?? (await findPrecision(folder)),
    // Only fine-tunes have learned to answer questions; by the publishers' custom their names end with -ft.
    tasks: manifest?.tasks ?? visionTasks.map(({ name }) => name).filter((name) => name !== "ASK" || id.endsWith("-ft")),
    defaults: manifest?.defaults ?? {},
    folder,
  };
}

async function readManifest(folder: string): Promise<Manifest | null> {
  const path = join(folder, "vedere.json");
  return (await namesIn(folder)).includes("vedere.json") ? parseManifest(await readFile(path, "utf8"), path) : null;
}

/** The preferred precision that all graphs have, else for each graph the preferred one that is there. */
async function findPrecision(folder: string): Promise<string> {
  const files = await namesIn(join(folder, "onnx"));
  const has = (graph: string, suffix: string): boolean =>
    files.includes(`${graph}${suffix}.onnx`) ||
    (graph === "decoder_model_merged" && has("decoder_model", suffix) && has("decoder_with_past_model", suffix));
  const offers = graphNames.map((graph) => ({
    graph,
    precisions: Object.entries(precisionSuffixes)
      .filter(([, suffix]) => has(graph, suffix))
      .map(([precision]) => precision),
  }));
  const common = Object.keys(precisionSuffixes).find((precision) => offers.every(({ precisions }) => precisions.includes(precision)));
  if (common) return common;
  const missing = offers.filter(({ precisions }) => precisions.length === 0).map(({ graph }) => `onnx/${graph}.onnx`);
  if (missing.length > 0) {
    throw new AppError("MODEL_UNAVAILABLE", `The model in ${folder} lacks ${missing.join(", ")}, in any precision.`, {
      fix: "Fetch it anew with `vedere models pull`, or remove the folder.",
    });
  }
  return precisionText(Object.fromEntries(offers.map(({ graph, precisions }) => [graph, precisions[0] ?? ""])));
}

/** Whatever else lies there, such as a download in progress, is no model. */
async function modelFoldersIn(place: string): Promise<string[]> {
  const folders = (await namesIn(place)).filter((name) => !name.startsWith(".")).map((name) => join(place, name));
  const checked = await Promise.all(folders.map(async (folder) => ({ folder, isModel: await isModelFolder(folder) })));
  return checked.filter(({ isModel }) => isModel).map(({ folder }) => folder);
}

async function isModelFolder(folder: string): Promise<boolean> {
  const names = await namesIn(folder);
  return ["config.json", "tokenizer.json", "onnx"].every((name) => names.includes(name));
}

/** None where there is no such folder. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR")) return [];
    throw error;
  }
}

function refuseTwins(models: readonly UnrankedModel[]): void {
  for (const [i, model] of models.entries()) {
    const twin = models.slice(0, i).find(({ id }) => id === model.id);
    if (!twin) continue;
    throw new AppError("MODEL_UNAVAILABLE", `Two folders hold a model ${model.id}: ${twin.folder} and ${model.folder}.`, {
      fix: "Remove one of them, or give it another id in its vedere.json.",
    });
  }
}

function notFound(places: ModelPlaces, models: readonly UnrankedModel[]): AppError {
  if (places.chosen === null) {
    const message = `There is no model, neither in ${places.pulled} nor in ${places.embedded}.`;
    return new AppError("MODEL_NOT_FOUND", message, { fix: "Fetch one with `vedere models pull`." });
  }
  return new AppError(
    "MODEL_NOT_FOUND",
    `There is no model ${places.chosen}; there are: ${models.map(({ id }) => id).join(", ") || "none"}.`,
    {
      fix: "Choose one of these, or fetch it with `vedere models pull`.",
    },
  );
}
