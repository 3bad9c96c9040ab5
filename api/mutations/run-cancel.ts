import { AppError } from "../../core/errors.ts";
import { applyChange } from "../../core/lifecycle.ts";
import type { RequestContext } from "../context.ts";
import { userErrorsOf } from "../user-errors.ts";

export async function runCancel(
  _root: unknown,
  { input: { runId } }: { input: { runId: string } },
  { ports, caller }: RequestContext,
) {
  const canceled = await applyChange(
    ports,
    { tenantId: caller.tenantId, runId },
    { type: "cancel" },
  );
  if (!canceled) return { run: null, userErrors: refused("NOT_FOUND", "There is no such run.") };
  if (!canceled.applied)
    return {
      run: canceled.run,
      userErrors: refused("ALREADY_FINISHED", `The run is ${canceled.run.status} already.`),
    };
  return { run: canceled.run, userErrors: [] };
}

function refused(code: "NOT_FOUND" | "ALREADY_FINISHED", message: string) {
  return userErrorsOf(new AppError(code, message), ["input", "runId"]);
}
