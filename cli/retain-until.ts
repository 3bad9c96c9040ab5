import { setTimeout as pause } from "node:timers/promises";
import type { Connection } from "../adapters/connect.ts";
import type { Log } from "../api/context.ts";
import { retain } from "../core/retain.ts";
import { isNothing } from "../core/retention.ts";

const roundEveryMs = 60_000;
/** Between two steps, so that others find the store free most of the time. */
const stepPauseMs = 20;

/** Deletes what is older than `days`, or than tenants want it kept, until `signal` aborts. */
export async function retainUntil(
  signal: AbortSignal,
  ports: Connection,
  { days, log }: { days: number | null; log: Log },
): Promise<void> {
  /** Whether to go on; a pause that is aborted rejects. */
  const waited = (ms: number) =>
    pause(ms, undefined, { signal }).then(
      () => true,
      () => false,
    );
  do {
    try {
      const erased = await retain(ports, { days, pause: () => waited(stepPauseMs) });
      if (!isNothing(erased)) log.info(erased, "what was to be kept no longer is deleted");
    } catch (err) {
      log.error({ err }, "what is old cannot be deleted now; the next round tries again");
    }
  } while (await waited(roundEveryMs));
}
