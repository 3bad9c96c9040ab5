import { AppError } from "../core/errors.ts";
import { exactName, findModels, resolveModel } from "../core/model-names.ts";
import type { ModelInfo } from "../core/ports.ts";
import { limitText } from "../core/tenant-limits.ts";
import type { RequestContext } from "./context.ts";

/**
 * The model asked for, or the default, and the name under which the run keeps it: what the caller
 * said, so that whatever it means when a worker takes the run is what answers. Throws AppError
 * MODEL_NOT_FOUND, MODEL_UNAVAILABLE, FORBIDDEN.
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
    requireAllowed(context, model);
    const name = asked ?? (findModels(models, model.id)[0] === model ? model.id : exactName(model));
    return { model, name: isAlwaysAllowed(context, model, name) ? name : exactName(model) };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw new AppError(error.code, error.message, {
      path: ["model"],
      ...(error.fix === null ? {} : { fix: error.fix }),
      cause: error,
    });
  }
}

/** Throws AppError FORBIDDEN if the tenant's runs may not name this model. */
function requireAllowed({ work }: RequestContext, model: ModelInfo): void {
  const allowed = work.modelsAllowed;
  const names = [model.id, exactName(model), ...model.aliases];
  if (allowed === null || allowed.some((each) => names.includes(each))) return;
  const message = `The model ${exactName(model)} is not among ${limitText(work, "modelsAllowed")}.`;
  throw new AppError("FORBIDDEN", message, {
    fix: `Choose one of: ${allowed.join(", ") || "(none is allowed)"}; or ask the operator for more.`,
  });
}

/**
 * Whether a name can mean no other model than an allowed one when the run starts. An alias, or an
 * id of which one revision is allowed, may lead elsewhere by then: such a run keeps the revision.
 */
function isAlwaysAllowed({ work }: RequestContext, { id, aliases }: ModelInfo, name: string) {
  const allowed = work.modelsAllowed;
  if (allowed === null || allowed.includes(name)) return true;
  return !aliases.includes(name) && allowed.includes(id);
}
