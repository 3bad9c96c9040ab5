import type { Log } from "../api/context.ts";

/** How long a process that is about to end may take to finish what it has in progress. */
const drainMs = 10_000;

/**
 * The last line of defence against an error that nobody catches, such as one in the callback of a
 * socket: it is logged with its stack, the process stops as if it were asked to, for 10 seconds at
 * most, and exits with 1. Nothing else is known to be sound by then, so the process does not go on:
 * `vedere start`, or whoever runs the container, starts it again. Returns a signal that aborts with
 * `signal` or with such an error.
 */
export function drainOnFault(log: Log, signal: AbortSignal): AbortSignal {
  const stop = new AbortController();
  let isFaulty = false;
  const take = (thrown: unknown, origin: string) => {
    const err = thrown instanceof Error ? thrown : new Error(String(thrown));
    try {
      log.error({ err, origin }, "an error that nobody caught: this process ends");
    } catch {} // stderr may be gone too
    process.exitCode = 1;
    if (isFaulty) return;
    isFaulty = true;
    setTimeout(() => process.exit(1), drainMs).unref();
    stop.abort();
  };
  // The stdout of a service has a greeting only: a reader that is gone, or a full disk, must not
  // end it.
  process.stdout.removeAllListeners("error").on("error", () => {});
  process.stderr.on("error", () => {});
  process.on("uncaughtException", take);
  process.on("unhandledRejection", (reason) => take(reason, "unhandledRejection"));
  if (signal.aborted) stop.abort();
  signal.addEventListener("abort", () => stop.abort());
  return stop.signal;
}
