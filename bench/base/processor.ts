import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

/**
 * Processor time used so far, in milliseconds, of the whole machine; what the hypervisor took
 * counts too.
 */
export interface Load {
  readonly wallMs: number;
  /** null where the system does not tell. */
  readonly busyMs: number | null;
  readonly ownMs: number;
}

/** What a share of the machine's capacity others may use during a sample that counts. */
export const foreignShareMax = 0.06;

/**
 * The system counts whole ticks, so that of each processor one may be counted that was not used.
 */
const tickMs = 10;

export function readLoad(): Load {
  const own = process.cpuUsage();
  return { wallMs: performance.now(), busyMs: busyMs(), ownMs: (own.user + own.system) / 1_000 };
}

/**
 * The share of the machine's capacity that others used between two readings of this process; null
 * where the system does not tell.
 */
export function foreignShare(before: Load, after: Load): number | null {
  if (before.busyMs === null || after.busyMs === null) return null;
  const foreignMs =
    after.busyMs - before.busyMs - (after.ownMs - before.ownMs) - tickMs * availableParallelism();
  return Math.max(0, foreignMs) / (availableParallelism() * (after.wallMs - before.wallMs));
}

/**
 * The first line of Linux's /proc/stat: hundredths of a second in user, nice, system, idle, iowait,
 * irq, softirq, steal, …
 */
function busyMs(): number | null {
  let text: string;
  try {
    text = readFileSync("/proc/stat", "utf8");
  } catch {
    return null; // another system: samples cannot be checked, and the report says so
  }
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] =
    text.split("\n", 1)[0]?.trim().split(/\s+/).slice(1).map(Number) ?? [];
  return tickMs * (user + nice + system + irq + softirq + steal);
}
