import { setImmediate } from "node:timers/promises";
import { limits } from "../core/limits.ts";
import type { Engine, Lease } from "../core/ports.ts";
import { noTracing, type Tracing } from "../core/tracing.ts";
import {
  type AttemptPorts,
  attemptRun,
  describe,
  type RunListener,
  type WorkerLog,
} from "./attempt.ts";
import { batchingEngine } from "./batching.ts";
import { pause } from "./pause.ts";
import { openSightCache } from "./sight-cache.ts";

export interface WorkerOptions {
  /** Stops the worker once the runs in progress are finished. */
  readonly signal: AbortSignal;
  readonly log: WorkerLog;
  readonly onRun?: RunListener;
  /** Hears of every batch of answers: how many rows it took through the decoder together. */
  readonly onBatch?: (rows: number) => void;
  /** Absent: nobody traces. */
  readonly tracing?: Tracing;
  readonly leaseMs?: number;
  /**
   * How many runs are in progress at most, not counting the one that is reserved; their questions
   * share batches. Absent: one, and none reserved.
   */
  readonly runsAtOnce?: number;
  /** What image features may take that are kept for later runs. Absent: none are. */
  readonly sightCacheBytes?: number;
}

/**
 * A batch of the vision graph holds the thread, and leases are renewed every third of their time:
 * half of that is left to spare.
 */
const batchesOfLease = 6;

/**
 * Takes runs from the queue and answers them until `signal` aborts, several at once where there are
 * several. It takes one message at a time, between two turns of the event loop, so that another
 * worker which has nothing to do finds some too. Where it works on as many as it may, it takes one
 * more of a tenant that has none here: who floods the queue fills all slots, and nobody else shall
 * wait for one. A worker may die at any point: the leases of its messages end, another worker
 * claims the runs with higher attempt numbers, and whatever the dead one still says is refused by
 * those. A message that was delivered before is worked on alone, so that what kills every attempt
 * takes no other run along twice.
 */
export async function runWorker(
  ports: AttemptPorts,
  engine: Engine,
  options: WorkerOptions,
): Promise<void> {
  const {
    signal,
    log,
    runsAtOnce = 1,
    sightCacheBytes = 0,
    leaseMs = limits.lease.leaseMs,
  } = options;
  const tools = {
    engineOf: batchingEngine(engine, {
      batchMsMax: leaseMs / batchesOfLease,
      onBatch: options.onBatch,
    }),
    sights: openSightCache(sightCacheBytes),
    log,
    onRun: options.onRun,
    tracing: options.tracing ?? noTracing,
  };
  const inProgress = new Map<Promise<void>, string>(); // with their tenants
  const all = () => Promise.all(inProgress.keys());
  let alone: Promise<unknown> | null = null; // a message that was delivered before
  let reserved: Promise<void> | null = null;

  function start(lease: Lease): void {
    const others = isRepeated(lease) ? all() : alone;
    const work = attemptRun(ports, tools, { lease, leaseMs, others })
      .catch(unwell({ runId: lease.message.runId }))
      .finally(() => inProgress.delete(work));
    inProgress.set(work, lease.message.tenantId);
    if (isRepeated(lease)) alone = all().finally(() => (alone = null));
  }

  async function take(from: { waitMs: number; except: readonly string[] }): Promise<void> {
    const [lease] = await ports.queue.receive({ max: 1, leaseMs, signal, ...from });
    if (lease) start(lease);
    await alone;
  }

  /**
   * Nobody calls a wait off because a slot is free: a message that is on its way here would be lost
   * until its lease ends.
   */
  function takeReserved(): Promise<void> {
    return take({ waitMs: reservedWaitMs, except: [...new Set(inProgress.values())] })
      .catch(unwell({}))
      .finally(() => (reserved = null));
  }

  /** The store or the queue is unwell: do not spin. */
  function unwell(fields: Readonly<Record<string, unknown>>) {
    return async (error: unknown) => {
      log("error", { ...fields, error: describe(error) });
      await pause(unwellMs, signal);
    };
  }

  while (!signal.aborted) {
    if (inProgress.size < runsAtOnce) await take({ waitMs: 20_000, except: [] }).catch(unwell({}));
    else {
      if (inProgress.size === runsAtOnce && runsAtOnce > 1) reserved ??= takeReserved();
      await Promise.race([...inProgress.keys(), ...(reserved ? [reserved] : [])]);
    }
    await setImmediate();
  }
  await reserved;
  await all();
}

const unwellMs = 1_000;
/** Meanwhile the tenants that have runs here may be others. */
const reservedWaitMs = 1_000;

function isRepeated(lease: Lease): boolean {
  return lease.receiveCount > 1;
}
