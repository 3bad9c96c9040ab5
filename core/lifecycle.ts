import type { Ports } from "./ports.ts";
import { changeRun, type Run, type RunChange } from "./run.ts";

/**
 * Applies a change to a stored run and returns the run as it then is. `applied` is false where the
 * change came too late or from an attempt that no longer counts; null where this tenant has no such
 * run. Safe against concurrent writers: every write names the version it was computed from, and is
 * computed anew where another one came first.
 */
export async function applyChange(
  ports: Pick<Ports, "runs" | "clock">,
  run: { tenantId: string; runId: string },
  change: RunChange,
): Promise<{ run: Run; applied: boolean } | null> {
  for (;;) {
    const current = await ports.runs.get(run.tenantId, run.runId);
    if (!current) return null;
    const next = changeRun(current, change, ports.clock.now());
    if (!next) return { run: current, applied: false };
    if (await ports.runs.replace(next)) return { run: next, applied: true };
  }
}
