import { type ChildProcess, fork } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import type { MetricObject } from "../adapters/metrics.ts";
import type { Log } from "../api/context.ts";
import { heartbeatFd } from "./heartbeat.ts";

/** Why a process was started again: it ended; it sent no heartbeat; a part of it did not move. */
export type RestartReason = "ended" | "silent" | "stuck";

export interface KeptProcess {
  readonly name: string;
  /** Resolves at its first "ready". */
  readonly ready: Promise<void>;
  /**
   * Resolves once it has ended for good, with its exit code: after `signal`, or if it ended before
   * it was ever ready and `isVital`.
   */
  readonly ended: Promise<number>;
  /** STARTING until its first heartbeat; SILENT once one is overdue; DOWN between two lives. */
  state(): "STARTING" | "ALIVE" | "SILENT" | "DOWN";
  /** What it has counted; null if it does not answer in a second. */
  metrics(): Promise<MetricObject[] | null>;
  send(message: unknown): void;
  kill(): void;
}

export interface KeepSetup {
  readonly name: string;
  readonly args: readonly string[];
  /** Stops it gracefully. */
  readonly signal: AbortSignal;
  readonly heartbeatMs: number;
  readonly log: Log;
  /** If it ends before it was ever ready, it is not started again. */
  readonly isVital: boolean;
  /**
   * False while the service stops: a process that ends then, because it got a signal of its own, is
   * not started again.
   */
  readonly isWanted: () => boolean;
  readonly onMessage: (message: unknown) => void;
  readonly onChange: () => void;
  readonly onRestart: (reason: RestartReason, detail: string) => void;
}

const backoff = { firstMs: 500, lastMs: 30_000 };
/** A process that lived this long was well: its next failure starts the backoff anew. */
const wellAfterMs = 60_000;
/** So many heartbeats may be missing. */
const beatsMissedMax = 3;
/** A process that starts has this long for its first one: Node itself loads meanwhile. */
const firstBeatMs = 60_000;

/**
 * Keeps one process of the service running: starts it again if it ends, and kills it first if it is
 * silent or stuck.
 */
export function keepProcess(setup: KeepSetup): KeptProcess {
  const { name, signal, log, heartbeatMs } = setup;
  const ready = withResolvers();
  let child: ChildProcess | null = null;
  let wasReady = false;
  let state: ReturnType<KeptProcess["state"]> = "DOWN";

  function enter(next: typeof state): void {
    if (state === next) return;
    state = next;
    setup.onChange();
  }

  async function keep(): Promise<number> {
    for (let failures = 0; ; failures += 1) {
      const startedAt = performance.now();
      const { code, reason, detail } = await live();
      enter("DOWN");
      if (signal.aborted || !setup.isWanted()) return code ?? 0;
      if (setup.isVital && !wasReady) return code ?? 1;
      if (performance.now() - startedAt > wellAfterMs) failures = 0;
      const delayMs = Math.min(backoff.lastMs, backoff.firstMs * 2 ** failures);
      log.error({ process: name, reason, detail, delayMs }, "a process ended and is started again");
      setup.onRestart(reason, detail);
      await pause(delayMs, undefined, { signal }).catch(() => undefined); // rejects when aborted, which is seen below
      if (signal.aborted) return 0;
    }
  }

  /** One life, from fork to exit. */
  async function live(): Promise<{ code: number | null; reason: RestartReason; detail: string }> {
    let killed: { reason: RestartReason; detail: string } | null = null;
    const current = fork(
      process.argv[1] ?? "",
      [...setup.args, "--heartbeat-ms", `${heartbeatMs}`],
      {
        stdio: ["ignore", "inherit", "inherit", "ipc", "pipe"],
      },
    );
    child = current;
    enter("STARTING");
    const stop = () => void current.kill("SIGTERM");
    signal.addEventListener("abort", stop);
    current.on("message", (message) => {
      if (message === "ready") {
        wasReady = true;
        ready.resolve();
      }
      setup.onMessage(message);
    });
    const watch = watchBeats(current.stdio[heartbeatFd] as Readable, {
      everyMs: heartbeatMs,
      onAlive: () => enter("ALIVE"),
      onSilent: () => enter("SILENT"),
      onHung(reason, detail) {
        killed = { reason, detail };
        log.error(
          { process: name, pid: current.pid, reason, detail },
          "a process hangs and is killed",
        );
        current.kill("SIGKILL"); // also ends one that was stopped
      },
    });
    const exit = await new Promise<{ code: number | null; detail: string }>((resolve) => {
      current.on("error", (error) => {
        if (current.pid === undefined) resolve({ code: 1, detail: error.message }); // it never started
      });
      current.once("exit", (code, by) => resolve({ code, detail: by ?? `exit code ${code}` }));
    });
    watch.end();
    signal.removeEventListener("abort", stop);
    child = null;
    return { code: exit.code, reason: "ended", detail: exit.detail, ...(killed ?? {}) };
  }

  return {
    name,
    ready: ready.promise,
    ended: keep(),
    state: () => state,
    metrics: async () => (child ? metricsOf(child) : null),
    send(message) {
      if (child?.connected) child.send(message as object, () => {}); // a process that ends just now hears nothing
    },
    kill: () => void child?.kill("SIGKILL"),
  };
}

interface BeatListener {
  readonly everyMs: number;
  onAlive(): void;
  onSilent(): void;
  onHung(reason: "silent" | "stuck", detail: string): void;
}

/**
 * Counts intervals without a heartbeat, not time: if this process itself was stopped, or the
 * machine slept, one interval has passed. The first heartbeat may take longer.
 */
function watchBeats(pipe: Readable, { everyMs, onAlive, onSilent, onHung }: BeatListener) {
  const missedFirstMax = Math.max(beatsMissedMax, Math.ceil(firstBeatMs / everyMs));
  let missed = 0;
  let hasBeaten = false;
  let isOver = false;
  const hang = (reason: "silent" | "stuck", detail: string) => {
    if (isOver) return;
    isOver = true;
    clearInterval(timer);
    onHung(reason, detail);
  };
  const timer = setInterval(() => {
    missed += 1;
    if (hasBeaten && missed === 2) onSilent();
    if (missed > (hasBeaten ? beatsMissedMax : missedFirstMax))
      hang("silent", `no heartbeat for ${(missed * everyMs) / 1_000} s`);
  }, everyMs);
  pipe.on("error", () => {}); // it broke off: its process ends
  createInterface({ input: pipe })
    .on("error", () => {})
    .on("line", (stuckPart) => {
      missed = 0;
      hasBeaten = true;
      if (isOver) return;
      if (stuckPart === "") return onAlive();
      onSilent();
      hang("stuck", `the ${stuckPart} does not move`);
    });
  return {
    end() {
      isOver = true;
      clearInterval(timer);
    },
  };
}

const metricsTimeoutMs = 1_000;

/**
 * Asks a process for its values; null if it does not answer: it is starting, at work on a long
 * batch, or dead.
 */
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
    if (!child.connected) return end(null);
    child.send("metrics", (error) => error && end(null));
  });
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
