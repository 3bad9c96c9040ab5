import { setTimeout as pause } from "node:timers/promises";
import { silenceShownMs, workerCounts } from "../core/model-status.ts";
import type { Ports } from "../core/ports.ts";
import type { Log } from "./context.ts";

/** Load balancers give up after a few seconds: a store that takes longer is as bad as none. */
const patienceMs = 2_000;

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
 * Whether the gateway can take runs: 200, or 503 with what does not answer in time: the store, the queue, or every worker of `vedere start`. If
 * only some workers do not answer, it is ready, with that as a reason. Errors themselves go to the log only.
 */
export async function answerReadiness(
  ports: Pick<Ports, "runs" | "queue" | "registry" | "clock">,
  log: Log,
  processes: ProcessHealth | null,
): Promise<Response> {
  const { runs, queue } = ports;
  const checks = { store: () => runs.countUnfinished("readyz"), queue: () => queue.depth() }; // no tenant has this id
  const answers = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => {
      try {
        await inTime(check());
        return null;
      } catch (err) {
        log.error({ err }, `the ${name} does not answer`);
        return `The ${name} does not answer.`;
      }
    }),
  );
  const workers = processes?.workers ?? [];
  const isServed = workers.length === 0 || workers.some(({ state }) => canWork(state));
  const ready = isServed && answers.every((reason) => reason === null);
  const reasons = [
    ...answers.filter((reason) => reason !== null),
    ...workers.filter(({ state }) => !canWork(state)).map(reasonOf),
    ...(workers.length === 0 && ready ? await silentElsewhere(ports) : []),
  ];
  const restarts = processes && { restarts: processes.restarts };
  return Response.json({ ready, reasons, ...restarts }, { status: ready ? 200 : 503 });
}

/** Workers that nobody here keeps running: how many have fallen silent, by their reports. The fleet may be empty on purpose. */
async function silentElsewhere({
  registry,
  clock,
}: Pick<Ports, "registry" | "clock">): Promise<string[]> {
  const now = clock.now();
  const reports = await registry.reports(now - silenceShownMs).catch(() => []);
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

async function inTime(answer: Promise<unknown>): Promise<void> {
  const late = new AbortController();
  const timeout = pause(patienceMs, undefined, { signal: late.signal }).then(() => {
    throw new Error(`There was no answer in ${patienceMs} ms.`);
  });
  try {
    await Promise.race([answer, timeout]);
  } finally {
    late.abort();
    timeout.catch(() => {}); // aborted, or told already
  }
}
