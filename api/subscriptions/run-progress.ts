import { AppError } from "../../core/errors.ts";
import { isFinished, type Run } from "../../core/run.ts";
import type { RequestContext } from "../context.ts";
import type { OpenWait } from "../open-waits.ts";

/** Only bounds how long one look takes; a change is seen at once. */
const lookMs = 30_000;

export const runProgress = {
  /** Throws AppError NOT_FOUND or RATE_LIMITED before the stream begins. */
  async subscribe(_root: unknown, { id }: { id: string }, context: RequestContext) {
    const run = await context.ports.runs.get(context.caller.tenantId, id);
    if (!run) throw new AppError("NOT_FOUND", "There is no such run.");
    return follow(run, context, context.admission.openWait());
  },
};

/**
 * The run as it is, then after every change; ends with the run. Throws where the listener has gone,
 * and AppError UNAUTHENTICATED where the key admits nobody any more.
 */
async function* follow(
  run: Run,
  { ports }: RequestContext,
  wait: OpenWait,
): AsyncGenerator<{ runProgress: Run }, void> {
  let shown = run;
  try {
    yield { runProgress: shown };
    while (!isFinished(shown)) {
      await ports.runs.changed(shown.tenantId, shown.id, shown.version, lookMs, wait.signal);
      wait.signal.throwIfAborted();
      const now = await ports.runs.get(shown.tenantId, shown.id);
      if (!now) return;
      if (now.version !== shown.version) {
        await wait.requireAdmitted();
        yield { runProgress: now };
      }
      shown = now;
    }
  } finally {
    wait.end();
  }
}
