import { type ChildProcess, fork } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import type { MetricObject } from "../adapters/metrics.ts";
import type { Log } from "../api/context.ts";

export interface Workers {
  /** Resolves once one of them has loaded its model and takes runs. */
  readonly ready: Promise<void>;
  /** Resolves once all have ended, after `signal` was aborted. */
  readonly ended: Promise<void>;
  /** What each of them has counted; those that do not answer in a second are left out. */
  metrics(): Promise<MetricObject[][]>;
  /** Ends them at once; what they were doing is done again by others. */
  kill(): void;
}

const backoff = { firstMs: 500, lastMs: 30_000 };
/** A worker that lived this long was well: its next failure starts the backoff anew. */
const wellAfterMs = 60_000;

/**
 * Keeps worker processes running: `vedere worker` with `args`, each started again when it dies, ever later while it dies early. Aborting
 * `signal` stops them gracefully: each finishes the run that it has.
 */
export function superviseWorkers(setup: {
  count: number;
  args: readonly string[];
  signal: AbortSignal;
  log: Log;
}): Workers {
  const { signal, log } = setup;
  const children = new Set<ChildProcess>();
  const { promise: ready, resolve: setReady } = promiseWithResolver();

  async function keepOne(number: number): Promise<void> {
    for (let failures = 0; !signal.aborted; failures += 1) {
      const startedAt = performance.now();
      const exit = await runOne();
      if (signal.aborted) return;
      if (performance.now() - startedAt > wellAfterMs) failures = 0;
      const delayMs = Math.min(backoff.lastMs, backoff.firstMs * 2 ** failures);
      log.error({ worker: number, exit, delayMs }, "a worker died and is started again");
      await pause(delayMs, undefined, { signal }).catch(() => undefined); // rejects when aborted, which the loop sees
    }
  }

  function runOne(): Promise<string> {
    const child = fork(process.argv[1] ?? "", ["worker", ...setup.args]);
    children.add(child);
    const stop = () => child.kill("SIGTERM");
    signal.addEventListener("abort", stop);
    child.on("message", (message) => {
      if (message === "ready") setReady();
    });
    return new Promise((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("exit", (code, name) => resolve(name ?? `exit code ${code}`));
    }).then((exit) => {
      signal.removeEventListener("abort", stop);
      children.delete(child);
      return String(exit);
    });
  }

  const kept = Array.from({ length: setup.count }, (_, i) => keepOne(i + 1));
  return {
    ready,
    ended: Promise.all(kept).then(() => undefined),
    metrics: async () =>
      (await Promise.all([...children].map(metricsOf))).filter((values) => values !== null),
    kill() {
      for (const child of children) child.kill("SIGKILL");
    },
  };
}

const metricsTimeoutMs = 1_000;

/** Asks a worker for its values; null where it does not answer: it is starting, at work on a long batch, or dead. */
function metricsOf(child: ChildProcess): Promise<MetricObject[] | null> {
  return new Promise((resolve) => {
    const end = (values: MetricObject[] | null) => {
      clearTimeout(timer);
      child.off("message", hear);
      resolve(values);
    };
    const hear = (message: unknown) => {
      if (typeof message === "object" && message !== null && "metrics" in message)
        end(message.metrics as MetricObject[]);
    };
    const timer = setTimeout(end, metricsTimeoutMs, null);
    child.on("message", hear);
    child.send("metrics", (error) => error && end(null));
  });
}

function promiseWithResolver(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
