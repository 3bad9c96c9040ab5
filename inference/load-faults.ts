import { AppError } from "../core/errors.ts";
import { exactName } from "../core/model-names.ts";
import type { ModelInfo } from "../core/ports.ts";

/** Why a model could not be loaded, as an AppError. */
export function loadFault(info: ModelInfo, error: unknown): AppError {
  if (error instanceof AppError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  const message = `The model ${exactName(info)} cannot be loaded. ${reason}`;
  return new AppError("MODEL_UNAVAILABLE", message, {
    fix: "Check its files with `vedere models verify`.",
    cause: error,
  });
}

export function tooLarge(info: ModelInfo, bytes: number, budgetBytes: number): AppError {
  const message = `The model ${exactName(info)} takes ${megabytes(bytes)} MB at least; the memory for models is ${megabytes(budgetBytes)} MB.`;
  return new AppError("MODEL_UNAVAILABLE", message, {
    fix: "Give workers more with VEDERE_MODEL_MEMORY_MB, or use a smaller precision.",
  });
}

export function megabytes(bytes: number): number {
  return Math.ceil(bytes / 1e6);
}
