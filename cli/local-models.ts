import type { Config } from "../adapters/config.ts";
import { connectModels } from "../adapters/connect.ts";
import { AppError } from "../core/errors.ts";
import { resolveModel } from "../core/model-names.ts";
import type { ModelInfo, Models } from "../core/ports.ts";

/**
 * The models of this machine under all their names. A store is read where there is one, and none is
 * made.
 */
export async function openLocalModels(config: Config): Promise<Models> {
  const { models, close } = await connectModels(config);
  try {
    const all = await models.list();
    return { list: async () => all }; // a command looks once: it needs no store any more
  } finally {
    close();
  }
}

/**
 * A model by one of its names; the default one where the name is null. Throws AppError
 * MODEL_NOT_FOUND, MODEL_UNAVAILABLE where its files cannot be run.
 */
export async function findModel(models: Models, name: string | null): Promise<ModelInfo> {
  const all = await models.list();
  try {
    return resolveModel(all, name);
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== "MODEL_NOT_FOUND") throw error;
    throw new AppError(error.code, error.message, {
      fix: `${error.fix} \`vedere models pull\` fetches more.`,
      cause: error,
    });
  }
}
