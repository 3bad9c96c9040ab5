import { AppError } from "../core/errors.ts";
import { type Precisions, precisionsOf } from "../inference/florence2/model-files.ts";
import { usageError } from "./failure.ts";

/** The precisions that a subcommand of `vedere models` was asked for. Throws AppError INVALID. */
export function parsePrecisions(text: string, subcommand: string): Precisions {
  try {
    return precisionsOf(text);
  } catch (error) {
    if (error instanceof AppError)
      throw usageError(error.message, error.fix ?? `See \`vedere models ${subcommand} --help\`.`);
    throw error;
  }
}
