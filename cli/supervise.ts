import { type MetricObject, openSupervisorMetrics } from "../adapters/metrics.ts";
import type { Log } from "../api/context.ts";
import type { ProcessHealth } from "../api/health.ts";
import { type KeptProcess, keepProcess } from "./keep-process.ts";

export interface Service {
  /** Resolves once the gateway listens, to true; to false if it ended before. */
  readonly up: Promise<boolean>;
  /** Resolves once all processes have ended, with the exit code of the service. */
  readonly ended: Promise<number>;
  /** What each process has counted, and this one of all of them. */
  metrics(): Promise<MetricObject[][]>;
  stop(): void;
  /** Ends all at once; what they were doing is done again by others. */
  kill(): void;
}

/** So many restarts are remembered for /readyz. */
const restartsKept = 20;

/**
 * Runs the service: a gateway, and workers as soon as it listens, each started again if it dies or
 * hangs. Prints the greeting of the first gateway, and "Ready." once a worker takes runs. Aborting
 * `signal` stops the workers after the runs that they have, then the gateway. A gateway that never
 * listened ends the service with its exit code.
 */
export function supervise(setup: {
  gatewayArgs: readonly string[];
  workerArgs: readonly string[];
  workers: number;
  heartbeatMs: number;
  signal: AbortSignal;
  log: Log;
}): Service {
  const { log, heartbeatMs } = setup;
  const counts = openSupervisorMetrics();
  const restarts: ProcessHealth["restarts"][number][] = [];
  const workersStop = new AbortController();
  const gatewayStop = new AbortController();
  const stop = () => workersStop.abort();
  if (setup.signal.aborted) stop();
  setup.signal.addEventListener("abort", stop);
  let workers: KeptProcess[] = [];
  let isGreeted = false;

  const health = (): ProcessHealth => ({
    workers: workers.map(({ name, state }) => ({ name, state: state() })),
    restarts,
  });
  const tellGateway = () => gateway?.send({ processes: health() });

  function keep(kind: "gateway" | "worker", name: string): KeptProcess {
    return keepProcess({
      name,
      args: kind === "gateway" ? setup.gatewayArgs : setup.workerArgs,
      signal: (kind === "gateway" ? gatewayStop : workersStop).signal,
      isVital: kind === "gateway",
      isWanted: () => !workersStop.signal.aborted,
      ...{ heartbeatMs, log, onChange: tellGateway },
      onMessage(message) {
        if (kind !== "gateway") return;
        if (message === "ready") return tellGateway(); // it knows nothing yet
        const greeting = greetingOf(message);
        if (greeting === null || isGreeted) return;
        isGreeted = true;
        process.stdout.write(greeting);
      },
      onRestart(reason, detail) {
        counts.restart(kind, reason);
        restarts.unshift({ process: name, reason, detail, at: new Date().toISOString() });
        restarts.splice(restartsKept);
        tellGateway();
      },
    });
  }

  let gateway: KeptProcess | null = null;
  const kept = keep("gateway", "gateway");
  gateway = kept;
  const up = Promise.race([kept.ready.then(() => true), kept.ended.then(() => false)]);

  async function run(): Promise<number> {
    if (await up) {
      workers = Array.from({ length: setup.workers }, (_, i) => keep("worker", `worker ${i + 1}`));
      tellGateway();
      const first = Promise.race(workers.map(({ ready }) => ready));
      if (workers.length > 0) void first.then(() => process.stdout.write("Ready.\n"));
      else process.stdout.write("Ready.\n");
    }
    await Promise.race([kept.ended, aborted(workersStop.signal)]);
    workersStop.abort();
    await Promise.all(workers.map(({ ended }) => ended));
    gatewayStop.abort();
    return kept.ended;
  }

  return {
    up,
    ended: run(),
    async metrics() {
      const all = [kept, ...workers];
      counts.states(all.map(({ name, state }) => ({ kind: kindOf(name), state: state() })));
      const values = await Promise.all(all.map((each) => each.metrics()));
      return [await counts.values(), ...values.filter((each) => each !== null)];
    },
    stop,
    kill() {
      for (const each of [kept, ...workers]) each.kill();
    },
  };
}

function kindOf(name: string): "gateway" | "worker" {
  return name === "gateway" ? "gateway" : "worker";
}

function greetingOf(message: unknown): string | null {
  return typeof message === "object" && message !== null && "greeting" in message
    ? String(message.greeting)
    : null;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve());
  });
}
