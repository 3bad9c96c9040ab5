import { desiredWorkers, neededWorkers, type ScalingPolicy } from "./desired-workers.ts";

/** A day that comes to the fleet. */
export interface Trace {
  /** How many runs arrive in a second of the day, on average. */
  rate(second: number): number;
  readonly seconds: number;
}

export interface Fleet {
  readonly policy: ScalingPolicy;
  /** From the wish for a worker until it takes runs, in seconds: the shortest and the longest. */
  readonly startSeconds: readonly [number, number];
  /** US dollars for a worker and an hour, from its start on. */
  readonly hourlyUsd: number;
}

export interface DayOfFleet {
  readonly runs: number;
  /** From a run's arrival to its end, in seconds. */
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
  readonly workersMax: number;
  readonly workerHours: number;
  /** Of these, those without a run to work on. */
  readonly idleHours: number;
  readonly usd: number;
  /** Runs that had not ended when the day did. */
  readonly left: number;
}

const scaleEverySeconds = 60;

/**
 * A day of the fleet, second by second, by the same function that scales it in the cloud: once a
 * minute, and when a run comes to a fleet at zero. What it leaves out: that runs differ in length,
 * that instances may not be had, and that a worker that ends finishes its runs first. The same seed
 * gives the same day.
 */
export function simulate(
  trace: Trace,
  { policy, startSeconds, hourlyUsd }: Fleet,
  seed = 1,
): DayOfFleet {
  const [random, randomStart] = [openRandom(seed), openRandom(seed + 1)]; // so that every fleet has the same day
  const perSecond = policy.runsPerWorkerPerMinute / 60;
  const queue: { arrivedAt: number; runs: number }[] = [];
  const latencies = new Map<number, number>();
  let workers: { readyAt: number }[] = Array.from({ length: policy.min }, () => ({ readyAt: 0 }));
  let [waiting, idleSince, strength, busySeconds, paidSeconds, workersMax, total] = [
    0,
    null as number | null,
    0,
    0,
    0,
    workers.length,
    0,
  ];

  function scale(second: number): void {
    const inFlight = Math.min(
      waiting,
      workers.filter(({ readyAt }) => readyAt <= second).length * policy.runsAtOnce,
    );
    const work = { visible: waiting - inFlight, inFlight };
    idleSince = neededWorkers(work, policy) < workers.length ? (idleSince ?? second * 1_000) : null;
    const desired = desiredWorkers(
      { ...work, running: workers.length, idleSince, now: second * 1_000 },
      policy,
    );
    const [shortest, longest] = startSeconds;
    while (workers.length < desired)
      workers.push({ readyAt: second + shortest + randomStart() * (longest - shortest) });
    workers = workers.slice(0, desired);
    workersMax = Math.max(workersMax, workers.length);
  }

  for (let second = 0; second < trace.seconds; second += 1) {
    const rate = trace.rate(second);
    const runs = Math.floor(rate) + Number(random() < rate % 1);
    if (runs > 0) queue.push({ arrivedAt: second, runs });
    waiting += runs;
    total += runs;
    if (second % scaleEverySeconds === 0 || (runs > 0 && workers.length === 0)) scale(second);

    const ready = workers.filter(({ readyAt }) => readyAt <= second).length;
    strength = Math.min(strength + ready * perSecond, Math.max(1, ready * perSecond)); // what is not used is not kept
    let done = Math.min(waiting, Math.floor(strength));
    busySeconds += Math.min(waiting / perSecond, ready);
    paidSeconds += workers.length;
    strength -= done;
    waiting -= done;
    while (done > 0) {
      const [first] = queue;
      if (!first) break;
      const taken = Math.min(done, first.runs);
      const seconds = second - first.arrivedAt + Math.ceil(1 / perSecond);
      latencies.set(seconds, (latencies.get(seconds) ?? 0) + taken);
      first.runs -= taken;
      done -= taken;
      if (first.runs === 0) queue.shift();
    }
  }
  const workerHours = paidSeconds / 3_600;
  const quantile = quantilesOf(latencies);
  return {
    runs: total,
    ...{ p50: quantile(0.5), p95: quantile(0.95), p99: quantile(0.99), max: quantile(1) },
    workersMax,
    workerHours,
    idleHours: workerHours - busySeconds / 3_600,
    usd: workerHours * hourlyUsd,
    left: waiting,
  };
}

function quantilesOf(counts: ReadonlyMap<number, number>): (share: number) => number {
  const sorted = [...counts].sort(([a], [b]) => a - b);
  const total = sorted.reduce((sum, [, count]) => sum + count, 0);
  return (share) => {
    let seen = 0;
    for (const [value, count] of sorted) {
      seen += count;
      if (seen >= share * total) return value;
    }
    return 0;
  };
}

/** mulberry32: from [0, 1). */
function openRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
