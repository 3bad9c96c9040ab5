import type { Config } from "../adapters/config.ts";
import { modelPlaces, openModels } from "../adapters/model-folders.ts";
import { AppError } from "../core/errors.ts";
import type { ModelInfo, Models } from "../core/ports.ts";

/** The models of this machine, without opening a store. */
export function openLocalModels(config: Pick<Config, "dataDir" | "model">): Promise<Models> {
  return openModels(modelPlaces(config));
}

/** The model that answers where none is named. */
export function defaultModel(models: Models): Promise<ModelInfo> {
  return findModel(models, null);
}

/** A model by its id; the default one where the id is null. Throws AppError MODEL_NOT_FOUND. */
export async function findModel(models: Models, id: string | null): Promise<ModelInfo> {
  const known = await models.list();
  const model = known.find((info) => (id === null ? info.isDefault : info.id === id));
  if (model) return model;
  throw new AppError("MODEL_NOT_FOUND", `There is no model ${id ?? "to run"}.`, {
    fix: `There are: ${known.map((info) => info.id).join(", ") || "none"}. \`vedere models pull\` fetches more.`,
  });
}
