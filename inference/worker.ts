import { setImmediate } from "node:timers/promises";
import { limits } from "../core/limits.ts";
import type { Engine, Lease } from "../core/ports.ts";
import { type AttemptPorts, attemptRun, describe, type RunListener, type WorkerLog } from "./attempt.ts";
import { batchingEngine } from "./batching.ts";
import { pause } from "./pause.ts";
import { openSightCache } from "./sight-cache.ts";

export interface WorkerOptions {
  /** Stops the worker once the runs in progress are finished. */
  readonly signal: AbortSignal;
  readonly log: WorkerLog;
  readonly onRun?: RunListener;
  readonly leaseMs?: number;
  /** How many runs are in progress at most; their questions share batches. Absent: one. */
  readonly runsAtOnce?: number;
  /** What image features may take that are kept for later runs. Absent: none are. */
  readonly sightCacheBytes?: number;
}

/** A batch of the vision graph holds the thread, and leases are renewed every third of their time: half of that is left to spare. */
const batchesOfLease = 6;

/**
 * Takes runs from the queue and answers them until `signal` aborts, several at once where there are several. It takes one message at a time,
 * between two turns of the event loop, so that another worker which has nothing to do finds some too. A worker may die at any point: the
 * leases of its messages end, another worker claims the runs with higher attempt numbers, and whatever the dead one still says is refused by
 * those. A message that was delivered before is worked on alone, so that what kills every attempt takes no other run along twice.
 */
export async function runWorker(ports: AttemptPorts, engine: Engine, options: WorkerOptions): Promise<void> {
  const { signal, log, runsAtOnce = 1, sightCacheBytes = 0, leaseMs = limits.lease.leaseMs } = options;
  const tools = {
    engine: batchingEngine(engine, { batchMsMax: leaseMs / batchesOfLease }),
    sights: openSightCache(sightCacheBytes),
    log,
    onRun: options.onRun,
  };
  const inProgress = new Set<Promise<void>>();

  function start(lease: Lease): void {
    const others = isRepeated(lease) ? Promise.all(inProgress) : null;
    const work = attemptRun(ports, tools, { lease, leaseMs, others })
      .catch(async (error: unknown) => {
        log("error", { runId: lease.message.runId, error: describe(error) });
        await pause(unwellMs, signal);
      })
      .finally(() => inProgress.delete(work));
    inProgress.add(work);
  }

  while (!signal.aborted) {
    try {
      const [lease] = await ports.queue.receive({ max: 1, waitMs: 20_000, leaseMs, signal });
      if (lease) start(lease);
      if (lease && isRepeated(lease)) await Promise.all(inProgress);
      while (inProgress.size >= runsAtOnce) await Promise.race(inProgress);
      await setImmediate();
    } catch (error) {
      log("error", { error: describe(error) });
      await pause(unwellMs, signal);
    }
  }
  await Promise.all(inProgress);
}

/** The store or the queue is unwell: do not spin. */
const unwellMs = 1_000;

function isRepeated(lease: Lease): boolean {
  return lease.receiveCount > 1;
}
