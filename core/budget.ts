import type { TaskName } from "../schema/task.ts";
import { units } from "./charge.ts";

/** How much work a tenant, and each of its keys, may ask for. Units as in core/charge.ts. */
export interface WorkLimits {
  /** How fast a token bucket fills, in units; null: without limit. */
  readonly unitsPerSecond: number | null;
  /** What the bucket holds. */
  readonly burstUnits: number;
  /** In a calendar month of UTC, by the ledger; null: without limit. */
  readonly unitsPerMonth: number | null;
  /** Runs that have not finished, of one tenant. */
  readonly unfinishedRuns: number;
}

/** A token bucket as it was at an instant. */
export interface Bucket {
  readonly level: number;
  readonly at: number;
}

export interface BucketSize {
  readonly capacity: number;
  readonly perSecond: number;
}

/**
 * What is in a bucket now; one that was never drawn from is full. Clocks that run backwards add
 * nothing.
 */
export function levelOf(
  bucket: Bucket | null,
  { capacity, perSecond }: BucketSize,
  now: number,
): number {
  if (!bucket) return capacity;
  return Math.min(capacity, bucket.level + (Math.max(0, now - bucket.at) * perSecond) / 1_000);
}

/**
 * What becomes of buckets that are drawn from together: all of them, or none. A cost above the
 * capacity is taken from a full bucket, which then owes the rest: else the largest requests could
 * never be made. `waitMs` is until the fullest-to-be has enough; 0 where it was taken.
 */
export function draw(
  buckets: readonly (Bucket | null)[],
  cost: number,
  size: BucketSize,
  now: number,
): { levels: readonly number[]; waitMs: number } {
  const levels = buckets.map((bucket) => levelOf(bucket, size, now));
  const lacking = Math.min(cost, size.capacity) - Math.min(...levels);
  if (cost > 0 && lacking > 0)
    return { levels, waitMs: Math.ceil((lacking / size.perSecond) * 1_000) };
  return { levels: levels.map((level) => level - cost), waitMs: 0 };
}

/** The answers' lengths that are reckoned with, in tokens, where the request allows that many. */
const tokensExpected: Readonly<Record<TaskName, number>> = {
  CAPTION: 40,
  DETECT_OBJECTS: 80,
  DESCRIBE_REGIONS: 150,
  PROPOSE_REGIONS: 80,
  GROUND_PHRASES: 80,
  READ_TEXT: 150,
  SEGMENT: 150,
  DESCRIBE_REGION: 15,
  ASK: 15,
  PROMPT: 80,
};

/**
 * The work that a run is expected to be, from its input as it was coerced: however the document
 * spelled it.
 */
export function plannedCost(
  tasks: readonly { readonly name: TaskName; readonly input: Readonly<Record<string, unknown>> }[],
): number {
  const each = tasks.map(
    ({ name, input }) =>
      units.prompt + units.token * Math.min(tokensExpected[name], tokensMax(input)),
  );
  return units.encoding + each.reduce((sum, cost) => sum + cost, 0);
}

function tokensMax({ options }: Readonly<Record<string, unknown>>): number {
  const most =
    typeof options === "object" && options !== null && "maxTokens" in options
      ? options.maxTokens
      : null;
  return typeof most === "number" ? most : Number.POSITIVE_INFINITY;
}

/** The calendar month of UTC around an instant: its first instant, and that of the next. */
export function monthOf(now: number): { from: number; to: number } {
  const date = new Date(now);
  const first = (months: number) => Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + months);
  return { from: first(0), to: first(1) };
}
