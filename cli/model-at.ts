import path from "node:path";
import type { Config } from "../adapters/config.ts";
import { lookAt, readModelFolder } from "../adapters/model-folder.ts";
import { modelPlaces } from "../adapters/model-folders.ts";
import { AppError } from "../core/errors.ts";
import type { Engine, ModelInfo } from "../core/ports.ts";
import { openEngine } from "../inference/florence2/engine.ts";
import { findModel, openLocalModels } from "./local-models.ts";

/**
 * A model by its folder, where the text has a slash and a model lies there, else by one of its
 * names. A folder's model is taken although its build found it not ready. Throws AppError
 * MODEL_NOT_FOUND, MODEL_UNAVAILABLE.
 */
export async function modelAt(place: string, config: Config): Promise<ModelInfo> {
  const state = /[/\\]/.test(place) ? await lookAt(path.resolve(place)) : null;
  if (!state) return findModel(await openLocalModels(config), place);
  const model = await readModelFolder(state, modelPlaces(config).wish);
  if (model.precision === "unknown")
    throw new AppError(
      "MODEL_UNAVAILABLE",
      `The model in ${state.folder} cannot be run. ${model.fault}`,
      { fix: "Name a folder that `vedere models build` or `vedere models pull` made." },
    );
  return { ...model, fault: null, isDefault: true, aliases: [] };
}

/** An engine for one model alone, whatever else is on this machine. */
export function engineFor(
  model: ModelInfo,
  config: Pick<Config, "executionProviders" | "threads">,
): Engine {
  const { executionProviders, threads } = config;
  return openEngine({ models: { list: async () => [model] }, executionProviders, threads });
}
