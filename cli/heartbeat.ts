import { Worker } from "node:worker_threads";
import { tellParent } from "./parent.ts";

/** The file descriptor of the pipe that `vedere start` opens for the heartbeats of a process. */
export const heartbeatFd = 4;

/** Silent if it does not move for its `limitMs`. */
export interface WatchedPart {
  readonly name: string;
  readonly limitMs: number;
}

/** Notes that a part has moved. */
export interface Heartbeat {
  moved(part: string): void;
  /** A part that has ended is no longer watched. */
  ended(part: string): void;
}

const silent: Heartbeat = { moved() {}, ended() {} };

/**
 * Beats every `everyMs` on the pipe to `vedere start`, from a thread of its own: a model that loads
 * or runs holds the main thread for long, and that is no fault. Each beat carries the name of the
 * part that has been still for longer than its limit: the main thread, or a loop in it. Does
 * nothing if `everyMs` is undefined: nobody listens.
 */
export function startHeartbeat(
  everyMs: number | undefined,
  parts: readonly WatchedPart[],
): Heartbeat {
  if (everyMs === undefined) return silent;
  const counters = new Int32Array(new SharedArrayBuffer(4 * parts.length)).fill(notWatched);
  const thread = new Worker(threadSource, {
    eval: true,
    workerData: { counters, parts, everyMs, fd: heartbeatFd },
  });
  thread.on("error", (error) => tellParent({ heartbeatFault: error.message })); // its silence ends this process
  thread.unref();
  const at = (part: string) => parts.findIndex(({ name }) => name === part);
  const moved = (part: string) => void Atomics.add(counters, at(part), 1);
  setInterval(() => moved(mainThread), everyMs).unref();
  return {
    moved,
    ended: (part) => void Atomics.store(counters, at(part), notWatched),
  };
}

export const mainThread = "main thread";

/**
 * Every how many milliseconds `vedere start` wants a heartbeat; undefined if this process runs
 * alone.
 */
export function beatsOf({ heartbeatMs }: { heartbeatMs?: string }): number | undefined {
  return heartbeatMs === undefined ? undefined : Number(heartbeatMs);
}

/**
 * A part is watched from its first move on: what comes before it, such as a download of models, may
 * take long.
 */
const notWatched = -1;

/** A line for each beat. A part that is still is named in it. */
const threadSource = `
const { writeSync } = require("node:fs");
const { workerData: { counters, parts, everyMs, fd } } = require("node:worker_threads");
const seen = parts.map(() => ({ count: 0, at: performance.now() }));
function beat() {
  const now = performance.now();
  const still = parts.filter(({ limitMs }, i) => {
    const count = Atomics.load(counters, i);
    if (count !== seen[i].count) seen[i] = { count, at: now };
    return count !== ${notWatched} && now - seen[i].at > limitMs;
  });
  try {
    writeSync(fd, (still.length > 0 ? still[0].name : "") + "\\n");
  } catch (error) {
    if (error.code === "EPIPE" || error.code === "EBADF") clearInterval(timer); // the parent is gone
  }
}
const timer = setInterval(beat, everyMs);
beat();
`;
