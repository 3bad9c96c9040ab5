import type { ScalingPolicy } from "./desired-workers.ts";
import type { Fleet, Trace } from "./simulate.ts";

const daySeconds = 86_400;
const hour = 3_600;

/**
 * Office hours, a quiet night, and two bursts of 10,000 images within five minutes each. `peak` in
 * runs a second at noon, bursts apart.
 */
export function officeDay(peak: number): Trace {
  const bursts = [10 * hour, 20 * hour];
  return {
    seconds: daySeconds,
    rate(second) {
      const day = Math.max(0, Math.sin(((second / hour - 7) / 12) * Math.PI)); // from 7 to 19
      const burst = bursts.some((start) => second >= start && second < start + 300)
        ? 10_000 / 300
        : 0;
      return peak * day + (second > 6 * hour && second < 22 * hour ? peak / 50 : 0) + burst;
    },
  };
}

/** A service that is used around the clock, by half as many at night. */
export function worldDay(peak: number): Trace {
  return {
    seconds: daySeconds,
    rate: (second) => peak * (0.75 + 0.25 * Math.sin((second / daySeconds) * 2 * Math.PI)),
  };
}

const usual: ScalingPolicy = {
  min: 0,
  max: 8,
  runsPerWorkerPerMinute: 120,
  runsAtOnce: 8,
  targetDrainSeconds: 120,
  idleGraceSeconds: 300,
};
/**
 * A g6.xlarge in us-east-1, on demand; started with image and model in 3 to 6 minutes. Assumptions,
 * none of them measured here.
 */
const gpu = { startSeconds: [180, 360], hourlyUsd: 0.805 } as const;

/** What docs/scale.md compares. */
export const days: readonly {
  readonly day: string;
  readonly fleet: string;
  readonly trace: Trace;
  readonly setup: Fleet;
}[] = [
  {
    day: "office",
    fleet: "from zero, 5 min of grace",
    trace: officeDay(2),
    setup: { ...gpu, policy: usual },
  },
  {
    day: "office",
    fleet: "from zero, 1 min of grace",
    trace: officeDay(2),
    setup: { ...gpu, policy: { ...usual, idleGraceSeconds: 60 } },
  },
  {
    day: "office",
    fleet: "at least one",
    trace: officeDay(2),
    setup: { ...gpu, policy: { ...usual, min: 1 } },
  },
  {
    day: "office",
    fleet: "eight, always",
    trace: officeDay(2),
    setup: { ...gpu, policy: { ...usual, min: 8 } },
  },
  {
    day: "world, 1,000 runs/s",
    fleet: "up to 100, 600 runs/min each",
    trace: worldDay(1_000),
    setup: { ...gpu, policy: { ...usual, min: 10, max: 100, runsPerWorkerPerMinute: 600 } },
  },
  {
    day: "world, 1,000 runs/s",
    fleet: "up to 120, 600 runs/min each",
    trace: worldDay(1_000),
    setup: { ...gpu, policy: { ...usual, min: 10, max: 120, runsPerWorkerPerMinute: 600 } },
  },
];
