import { reportEveryMs } from "../core/model-status.ts";
import type { Engine, Ports } from "../core/ports.ts";

/** Keeps the registry informed of what a worker's engine hosts. */
export interface ModelReports {
  /** To be called when what the engine hosts has changed. */
  changed(): void;
  /**
   * Reports after every change and at regular intervals, until `signal` aborts. Then it takes the
   * word back, but for models that failed: a worker that cannot load its model ends, and the reason
   * must be there for a while.
   */
  run(engine: Pick<Engine, "hosted" | "tidy">, signal: AbortSignal): Promise<void>;
}

/** A report that cannot be stored is logged and made again: no run depends on it. */
export function openModelReports(
  ports: Pick<Ports, "registry" | "clock">,
  options: {
    workerId: string;
    logError: (fields: { err: unknown }, message: string) => void;
    everyMs?: number;
  },
): ModelReports {
  const { workerId, logError, everyMs = reportEveryMs } = options;
  let isDue = false;
  let wake = () => {};

  function nextDue(signal: AbortSignal): Promise<void> {
    if (isDue || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, everyMs);
      signal.addEventListener("abort", done);
      wake = done;
    });
  }

  return {
    changed() {
      isDue = true;
      wake();
    },
    async run(engine, signal) {
      while (!signal.aborted) {
        isDue = false;
        try {
          await ports.registry.report({ workerId, at: ports.clock.now(), models: engine.hosted() }); // first: a load may hold the thread for seconds
          await engine.tidy();
        } catch (err) {
          logError({ err }, "the models could not be reported");
        }
        await nextDue(signal);
      }
      const failed = engine.hosted().filter(({ state }) => state === "FAILED");
      const last = { workerId, at: ports.clock.now(), models: failed };
      const parting =
        failed.length > 0 ? ports.registry.report(last) : ports.registry.removeReport(workerId);
      await parting.catch((err: unknown) =>
        logError({ err }, "the last report stays until it is too old"),
      );
    },
  };
}
