import { auditEntry } from "../../core/audit.ts";
import { AppError } from "../../core/errors.ts";
import { authorOf } from "../author.ts";
import type { RequestContext } from "../context.ts";
import { userErrorsOf } from "../user-errors.ts";

/** `deleted` is false if there was nothing to delete: deleting twice is no mistake. */
export async function runDelete(
  _root: unknown,
  { input: { runId } }: { input: { runId: string } },
  context: RequestContext,
) {
  const { ports, caller } = context;
  const { tenantId } = caller;
  const entry = auditEntry({ clock: ports.clock, by: authorOf(context) }, "run.delete", {
    subject: { type: "Run", id: runId, tenantId },
  });
  const outcome = await ports.retention.removeRun(tenantId, runId, entry);
  if (outcome !== "unfinished") return { runId, deleted: outcome === "removed", userErrors: [] };
  const refusal = new AppError("NOT_FINISHED", "The run has not finished.", {
    fix: "Stop it with runCancel, or wait for its end; then delete it.",
  });
  return { runId: null, deleted: null, userErrors: userErrorsOf(refusal, ["input", "runId"]) };
}
