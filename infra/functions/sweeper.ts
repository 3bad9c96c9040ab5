import { sweep } from "../../core/sweep.ts";
import { type CloudConnection, connectCloud } from "./connect.ts";

let opening: Promise<CloudConnection> | null = null;
const resent = new Map<string, number>();

/**
 * Every minute: expires runs that nobody started, sends again what lost its message, and wakes who delivers webhooks where a delivery is due. It
 * delivers none itself: that takes the way out that webhooks have, which this function has not.
 */
export async function handler(): Promise<{ expired: number; resent: number; awaited: number }> {
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
  log.info({ ...done, awaited }, "sweep");
  return { ...done, awaited };
}
