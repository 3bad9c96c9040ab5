import { applyChange } from "./lifecycle.ts";
import type { Ports } from "./ports.ts";

/**
 * A queued run that is older than every message in the queue, by this much, has lost its message:
 * the process that created it died before sending. Sending one too many is harmless.
 */
const resendAfterMs = 60_000;
const batchMax = 500;

/**
 * One round of housekeeping: runs that nobody started in time become EXPIRED, and queued runs whose
 * message may be lost are sent again, at most once per `resendAfterMs`. `resent` remembers what
 * this process has sent; pass the same map every time.
 */
export async function sweep(
  ports: Pick<Ports, "runs" | "queue" | "clock">,
  resent: Map<string, number>,
): Promise<{ expired: number; resent: number }> {
  const now = ports.clock.now();
  const done = { expired: 0, resent: 0 };
  for (const [runId, at] of resent) if (now - at >= resendAfterMs) resent.delete(runId);
  for (const run of await ports.runs.overdue(now, batchMax)) {
    const change = await applyChange(
      ports,
      { tenantId: run.tenantId, runId: run.id },
      { type: "expire" },
    );
    if (change?.applied) done.expired += 1;
  }
  const { oldestAgeMs } = await ports.queue.depth();
  for (const { tenantId, id: runId } of await ports.runs.queued(
    now - oldestAgeMs - resendAfterMs,
    batchMax,
  )) {
    if (resent.has(runId)) continue;
    await ports.queue.send({ version: 1, tenantId, runId });
    resent.set(runId, now);
    done.resent += 1;
  }
  return done;
}
