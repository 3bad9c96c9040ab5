import { hasParent, onOrphaned } from "./parent.ts";

/**
 * npm and npx pass Ctrl-C on although the terminal has sent it already: a signal this soon after
 * the first is the same wish.
 */
const echoMs = 500;

/**
 * Aborts at the first SIGINT or SIGTERM; `kill` runs at one more, for those who do not want to
 * wait. A process of `vedere start` leaves SIGINT and the second signal to it, and stops if it is
 * gone: a terminal sends Ctrl-C to all of them at once.
 */
export function onStop(kill: () => void): AbortSignal {
  const stop = new AbortController();
  let firstAt = 0;
  const take = () => {
    if (!stop.signal.aborted) {
      firstAt = performance.now();
      stop.abort();
    } else if (!hasParent() && performance.now() - firstAt > echoMs) {
      kill();
      process.exit(1);
    }
  };
  process.on("SIGINT", hasParent() ? () => {} : take);
  process.on("SIGTERM", take);
  onOrphaned(() => stop.abort());
  return stop.signal;
}
