import { setTimeout as pause } from "node:timers/promises";
import type { Connection } from "../adapters/connect.ts";
import type { Log } from "../api/context.ts";
import { sweep } from "../core/sweep.ts";

const sweepEveryMs = 5_000;

/** Housekeeping until `signal` aborts. `onRound` runs before each round. */
export async function sweepUntil(
  signal: AbortSignal,
  ports: Connection,
  { log, onRound }: { log: Log; onRound: () => void },
): Promise<void> {
  const resent = new Map<string, number>();
  while (!signal.aborted) {
    onRound();
    try {
      await sweep(ports, resent);
    } catch (err) {
      log.error({ err }, "a sweep failed; the next one tries again");
    }
    await pause(sweepEveryMs, undefined, { signal }).catch(() => undefined); // rejects when aborted, which the loop sees
  }
}
