import { AppError } from "../core/errors.ts";
import { exactName, findModels, resolveModel } from "../core/model-names.ts";
import type { ModelInfo } from "../core/ports.ts";
import type { RequestContext } from "./context.ts";

/**
 * The model asked for, or the default, and the name under which the run keeps it: what the caller said, so that whatever it means when a worker
 * takes the run is what answers. Throws AppError MODEL_NOT_FOUND, MODEL_UNAVAILABLE.
 */
export async function chooseModel(
  context: RequestContext,
  asked: string | null,
): Promise<{ model: ModelInfo; name: string }> {
  const known = await context.models();
  const isMissed = asked !== null && findModels(known, asked).length === 0;
  const models = isMissed ? await context.models({ isFresh: true }) : known; // it may have come a moment ago
  try {
    const model = resolveModel(models, asked);
    return {
      model,
      name: asked ?? (findModels(models, model.id)[0] === model ? model.id : exactName(model)),
    };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw new AppError(error.code, error.message, {
      path: ["model"],
      ...(error.fix === null ? {} : { fix: error.fix }),
      cause: error,
    });
  }
}
