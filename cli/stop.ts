/** npm and npx pass Ctrl-C on although the terminal has sent it already: a signal this soon after the first is the same wish. */
const echoMs = 500;

/** Aborts at the first SIGINT or SIGTERM; `kill` runs at one more, for those who do not want to wait. */
export function onStop(kill: () => void): AbortSignal {
  const stop = new AbortController();
  let firstAt = 0;
  const take = () => {
    if (!stop.signal.aborted) {
      firstAt = performance.now();
      stop.abort();
    } else if (performance.now() - firstAt > echoMs) {
      kill();
      process.exit(1);
    }
  };
  process.on("SIGINT", take);
  process.on("SIGTERM", take);
  return stop.signal;
}
