import { eraseDeletedTenants } from "../../core/delete-tenant.ts";
import { eraseRead } from "../../core/erase-read.ts";
import { type Erased, nothingErased } from "../../core/erased.ts";
import { retain } from "../../core/retain.ts";
import { sweep } from "../../core/sweep.ts";
import { type CloudConnection, connectCloud } from "./connect.ts";

let opening: Promise<CloudConnection> | null = null;
const resent = new Map<string, number>();

/** Of the function's 50 seconds; the next minute goes on. */
const retainMsMax = 20_000;

/**
 * Every minute: expires runs that nobody started, sends again what lost its message, deletes what
 * tenants want kept for a shorter time than the table and the bucket keep it, and wakes who
 * delivers webhooks where a delivery is due. It delivers none itself: that takes the way out that
 * webhooks have, which this function has not.
 */
export async function handler(): Promise<{
  expired: number;
  resent: number;
  awaited: number;
  erased: Erased;
}> {
  opening ??= connectCloud();
  opening.catch(() => {
    opening = null; // the next minute tries again
  });
  const { ports, log, wake } = await opening;
  const done = await sweep(ports, resent);
  const [events, due] = await Promise.all([
    ports.webhooks.outbox(1),
    ports.webhooks.due(ports.clock.now(), 1),
  ]);
  const awaited = events.length + due.length;
  if (awaited > 0) await wake();
  const erased = await eraseOld(await opening);
  log.info({ ...done, awaited, erased }, "sweep");
  return { ...done, awaited, erased };
}

/** Its failure is no reason to make the rest again. */
async function eraseOld({ ports, log }: CloudConnection): Promise<Erased> {
  const begun = performance.now();
  const pause = async () => performance.now() - begun < retainMsMax;
  try {
    await eraseRead(ports, { pause });
    await eraseDeletedTenants(ports, { pause });
    return await retain(ports, { days: null, pause });
  } catch (err) {
    log.error({ err }, "what is old cannot be deleted now; the next minute tries again");
    return nothingErased;
  }
}
