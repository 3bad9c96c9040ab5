import { setTimeout as pause } from "node:timers/promises";
import type { Connection } from "../adapters/connect.ts";
import type { Log } from "../api/context.ts";
import { eraseDeletedTenants } from "../core/delete-tenant.ts";
import { eraseRead } from "../core/erase-read.ts";
import { isNothing } from "../core/erased.ts";
import { retain } from "../core/retain.ts";

const roundEveryMs = 60_000;
const tenantsEveryMs = 1_000;
const readRunsEveryMs = 5_000;
/** Between two steps, so that others find the store free most of the time. */
const stepPauseMs = 20;

/**
 * Deletes tenants that are to be deleted, runs that keep nothing and were read, and what is older
 * than `days` or than tenants want it kept, until `signal` aborts.
 */
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
  const stepped = () => waited(stepPauseMs);
  const repeat = async (everyMs: number, round: () => Promise<void>) => {
    do {
      try {
        await round();
      } catch (err) {
        log.error({ err }, "what is to be deleted cannot be now; the next round tries again");
      }
    } while (await waited(everyMs));
  };
  await Promise.all([
    repeat(readRunsEveryMs, async () => void (await eraseRead(ports, { pause: stepped }))),
    repeat(tenantsEveryMs, () => eraseDeletedTenants(ports, { pause: stepped })),
    repeat(roundEveryMs, async () => {
      const erased = await retain(ports, { days, pause: stepped });
      if (!isNothing(erased)) log.info(erased, "what was to be kept no longer is deleted");
    }),
  ]);
}
