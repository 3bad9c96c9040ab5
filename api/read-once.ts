import { limits } from "../core/limits.ts";
import { isFinished, type Run } from "../core/run.ts";
import type { RequestContext } from "./context.ts";

/**
 * Notes that somebody has the answer of a run that keeps nothing: it is deleted a minute later. A
 * failure is logged only: the run is deleted in the end, a day after its own.
 */
export async function noteTaken(
  run: Run,
  { ports, log }: Pick<RequestContext, "ports" | "log">,
): Promise<void> {
  if (run.keep !== "NONE" || !isFinished(run)) return;
  const { tenantId, id } = run;
  try {
    await ports.runs.eraseFrom(tenantId, id, ports.clock.now() + limits.run.readKeptMs);
  } catch (err) {
    log.error({ err, tenantId, runId: id }, "that a run was read could not be noted");
  }
}

/**
 * As `noteTaken`, of a run that a request reads. What makes a payload is no request: its delivery
 * counts.
 */
export async function noteRead(
  run: Run,
  context: Pick<RequestContext, "ports" | "log" | "caller">,
): Promise<void> {
  if (context.caller.keyId !== "") await noteTaken(run, context);
}
