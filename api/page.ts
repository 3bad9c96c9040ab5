import { AppError } from "../core/errors.ts";
import { limits } from "../core/limits.ts";

/** Throws AppError INVALID where a page cannot have this many edges. */
export function requirePage(first: number): void {
  if (first >= 1 && first <= limits.page.firstMax) return;
  throw new AppError("INVALID", `"first" is ${first}.`, {
    fix: `Give 1 to ${limits.page.firstMax}.`,
  });
}
