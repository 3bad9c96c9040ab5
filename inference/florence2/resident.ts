import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { AppError } from "../../core/errors.ts";
import { exactName } from "../../core/model-names.ts";
import type { ModelInfo } from "../../core/ports.ts";
import type { Resident } from "../hosting.ts";
import { answer } from "./answer.ts";
import { type LoadedModel, loadModel } from "./loaded-model.ts";
import { findModelFiles } from "./model-files.ts";
import { see } from "./see.ts";

/** A model that has been loaded and warmed up. */
export interface ResidentModel extends Resident {
  readonly loaded: LoadedModel;
}

/**
 * Loads a model on the first execution provider of the list on which it loads and answers; that
 * another than the first was taken is its `note`. A first image and a first question are behind it
 * then, so that no run pays for them. Throws AppError MODEL_UNAVAILABLE with what every provider
 * said; paths in it are relative to the model's folder.
 */
export async function loadResident(
  info: ModelInfo,
  settings: { executionProviders: readonly string[]; threads: number | null },
): Promise<ResidentModel> {
  const failures: string[] = [];
  const rssBefore = process.memoryUsage.rss();
  for (const executionProvider of settings.executionProviders) {
    try {
      const loaded = await loadWarm(info, {
        executionProviders: [executionProvider],
        threads: settings.threads,
      });
      const [preferred] = failures;
      return {
        loaded,
        memoryBytes: Math.max(await filesBytes(info), process.memoryUsage.rss() - rssBefore), // of memory that was free already, RSS does not tell
        executionProvider,
        note:
          preferred === undefined ? null : `It runs on ${executionProvider}. ${failures.join(" ")}`,
        release: () => loaded.graphs.release(),
      };
    } catch (error) {
      failures.push(reasonOf(error, info));
    }
  }
  throw new AppError(
    "MODEL_UNAVAILABLE",
    `The model ${exactName(info)} cannot be loaded. ${failures.join(" ")}`,
    {
      fix: "Check its files with `vedere models verify`, and the execution providers with `vedere doctor`.",
    },
  );
}

/**
 * The bytes of a model's graphs, weights outside of them included: the least that it takes in
 * memory.
 */
export async function filesBytes(info: ModelInfo): Promise<number> {
  const graphs = graphsIn(await findModelFiles(info));
  const names = (await readdir(path.join(info.folder, "onnx"))).map((name) => `onnx/${name}`);
  const used = names.filter((name) =>
    graphs.some((graph) => name === graph || name.startsWith(`${graph}_data`)),
  );
  const sizes = await Promise.all(
    used.map(async (name) => (await stat(path.join(info.folder, name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** The smallest PNG: what is in it does not matter, the model's graphs see it at their own size. */
const pixel = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==",
  "base64",
);

async function loadWarm(
  info: ModelInfo,
  settings: { executionProviders: readonly string[]; threads: number | null },
): Promise<LoadedModel> {
  const loaded = await loadModel({ list: async () => [info] }, info.id, settings);
  try {
    const [seen] = await see(loaded, [pixel]);
    if (!seen || seen instanceof Error) throw seen ?? new Error("It saw nothing.");
    const sight = { ...seen, model: "" };
    await answer(loaded, [
      {
        sight,
        prompt: "What does the image describe?",
        locationGroup: null,
        options: { maxTokens: 3 },
      },
    ]);
    return loaded;
  } catch (error) {
    await loaded.graphs.release();
    throw error;
  }
}

function graphsIn(files: unknown): string[] {
  if (typeof files === "string") return files.endsWith(".onnx") ? [files] : [];
  return typeof files === "object" && files !== null ? Object.values(files).flatMap(graphsIn) : [];
}

function reasonOf(error: unknown, { folder }: ModelInfo): string {
  const { message, cause } = error instanceof Error ? error : new Error(String(error));
  const whole = cause instanceof Error ? `${message} ${cause.message}` : message;
  return whole.replaceAll(`${folder}/`, "").replaceAll(folder, path.basename(folder));
}
