import { setTimeout as pause } from "node:timers/promises";
import { AppError } from "../core/errors.ts";
import { silenceShownMs, workerCounts } from "../core/model-status.ts";
import type { Clock, Ports } from "../core/ports.ts";
import type { Log } from "./context.ts";

/** Load balancers give up after a few seconds: a store that takes longer is as bad as none. */
const patienceMs = 2_000;
const lookEveryMs = 1_000;

/** What `vedere start` knows of the processes that it keeps running. */
export interface ProcessHealth {
  readonly workers: readonly {
    readonly name: string;
    readonly state: "STARTING" | "ALIVE" | "SILENT" | "DOWN";
  }[];
  /** The latest ones, the newest first. */
  readonly restarts: readonly {
    readonly process: string;
    /** It ended, sent no heartbeat, or did not move. */
    readonly reason: "ended" | "silent" | "stuck";
    readonly detail: string;
    /** ISO 8601. */
    readonly at: string;
  }[];
}

/**
 * Answers whether the gateway can take runs: 200, or 503 with the reason: nothing can be stored, or
 * no worker of `vedere start` answers. If only some workers do not answer, it is ready, with that
 * as a reason. What it stores and reads for that does not grow with what is stored or queued, and
 * is done once a second at most, however many ask: asking needs no key.
 */
export function readinessOf(
  ports: Pick<Ports, "probe" | "registry" | "clock">,
  log: Log,
): (processes: ProcessHealth | null) => Promise<Response> {
  let writing: Promise<void> | null = null; // of one that hangs there must not be many
  const write = () => {
    writing ??= ports.probe.write().finally(() => {
      writing = null;
    });
    return writing;
  };
  const look = onceIn(lookEveryMs, ports.clock, async () => ({
    store: await storeFault(write, log),
    elsewhere: await silentElsewhere(ports),
  }));
  return async (processes) => {
    const { store, elsewhere } = await look();
    const workers = processes?.workers ?? [];
    const isServed = workers.length === 0 || workers.some(({ state }) => canWork(state));
    const ready = isServed && store === null;
    const reasons = [
      ...(store === null ? [] : [store]),
      ...workers.filter(({ state }) => !canWork(state)).map(reasonOf),
      ...(workers.length === 0 && ready ? elsewhere : []),
    ];
    const restarts = processes && { restarts: processes.restarts };
    return Response.json({ ready, reasons, ...restarts }, { status: ready ? 200 : 503 });
  };
}

/**
 * Why nothing can be stored, for whoever runs the service; null if it can. Errors without words for
 * people go to the log only.
 */
async function storeFault(write: () => Promise<void>, log: Log): Promise<string | null> {
  try {
    await inTime(write());
    return null;
  } catch (err) {
    log.error({ err }, "nothing can be stored");
    return err instanceof AppError
      ? `${err.message} ${err.fix ?? ""}`.trim()
      : "The store does not answer.";
  }
}

/**
 * Calls `look` unless its last answer is younger than `ms` or still on its way: then that answer is
 * given.
 */
function onceIn<T>(ms: number, clock: Clock, look: () => Promise<T>): () => Promise<T> {
  let last: { readonly at: number; readonly answer: Promise<T> } | null = null;
  let isOnItsWay = false;
  return () => {
    const now = clock.now();
    if (last && (isOnItsWay || Math.abs(now - last.at) < ms)) return last.answer;
    isOnItsWay = true;
    const answer = look().finally(() => {
      isOnItsWay = false;
    });
    last = { at: now, answer };
    return answer;
  };
}

/**
 * Workers that nobody here keeps running: how many have fallen silent, by their reports. The fleet
 * may be empty on purpose.
 */
async function silentElsewhere({
  registry,
  clock,
}: Pick<Ports, "registry" | "clock">): Promise<string[]> {
  const now = clock.now();
  const reports = await inTime(registry.reports(now - silenceShownMs)).catch(() => []);
  const { silent } = workerCounts(reports, now);
  return silent === 0 ? [] : [`Workers that have fallen silent: ${silent}.`];
}

/** One that starts will take runs in a moment: they wait in the queue meanwhile. */
function canWork(state: ProcessHealth["workers"][number]["state"]): boolean {
  return state === "ALIVE" || state === "STARTING";
}

function reasonOf({ name, state }: ProcessHealth["workers"][number]): string {
  return state === "SILENT"
    ? `The ${name} does not answer; it is started again if it stays silent.`
    : `The ${name} has ended and is about to be started again.`;
}

async function inTime<T>(answer: Promise<T>): Promise<T> {
  const late = new AbortController();
  const timeout = pause(patienceMs, undefined, { signal: late.signal }).then((): never => {
    throw new Error(`There was no answer in ${patienceMs} ms.`);
  });
  try {
    return await Promise.race([answer, timeout]);
  } finally {
    late.abort();
    timeout.catch(() => {}); // aborted, or told already
  }
}
