import { type BucketSize, monthOf, plannedCost } from "../core/budget.ts";
import { AppError } from "../core/errors.ts";
import type { Run } from "../core/run.ts";
import { limitText } from "../core/tenant-limits.ts";
import type { RequestContext } from "./context.ts";

/**
 * The state of the fuller-drawn of the tenant's and the key's token buckets; null where there is no
 * limit.
 */
export interface RateLimit {
  readonly capacity: number;
  readonly remaining: number;
  readonly restorePerSecond: number;
  readonly resetAt: number;
}

/**
 * Pays for a run before it is taken. Throws AppError, with the time to wait: QUEUE_FULL,
 * QUOTA_EXCEEDED, RATE_LIMITED. Returns how to take the payment back, where the run is not taken
 * after all.
 */
export async function payFor(
  context: RequestContext,
  tasks: Run["tasks"],
): Promise<() => Promise<void>> {
  const { ports, caller, work, cost } = context;
  const planned = plannedCost(tasks);
  cost.requested += planned;
  if ((await ports.runs.countUnfinished(caller.tenantId)) >= work.unfinishedRuns) {
    const message = `${work.unfinishedRuns} runs are unfinished already: ${limitText(work, "unfinishedRuns")}.`;
    throw new AppError("QUEUE_FULL", message, {
      fix: "Try again when some have finished; each that ends makes room for one.",
    });
  }
  await requireQuota(context, planned);
  const { waitMs } = await draw(context, planned);
  if (waitMs > 0) {
    const limit = `${limitText(work, "unitsPerSecond")} (${work.unitsPerSecond})`;
    const message = `This run is ${planned} units of work, more than the rate limit has left: ${limit}.`;
    const at = new Date(ports.clock.now() + waitMs).toISOString();
    throw new AppError("RATE_LIMITED", message, {
      fix: `Try again in ${Math.ceil(waitMs / 1_000)} s, at ${at}.`,
      retryAfterMs: waitMs,
    });
  }
  cost.actual += planned;
  return async () => {
    cost.actual -= planned;
    await draw(context, -planned);
  };
}

export async function rateLimitOf(context: RequestContext): Promise<RateLimit | null> {
  const size = bucketSize(context);
  if (!size) return null;
  const { levels } = await draw(context, 0);
  const remaining = Math.floor(Math.min(...levels));
  const resetAt =
    context.ports.clock.now() + Math.ceil(((size.capacity - remaining) / size.perSecond) * 1_000);
  return { capacity: size.capacity, remaining, restorePerSecond: size.perSecond, resetAt };
}

/**
 * `extensions.cost` of a request that asked for runs; what is left is null where there is no limit.
 */
export async function costOf(context: RequestContext) {
  const {
    remaining = null,
    restorePerSecond = null,
    resetAt = null,
  } = (await rateLimitOf(context)) ?? {};
  return {
    ...context.cost,
    remaining,
    restorePerSecond,
    resetAt: resetAt === null ? null : new Date(resetAt).toISOString(),
  };
}

async function requireQuota(
  { ports, caller, work }: RequestContext,
  planned: number,
): Promise<void> {
  if (work.unitsPerMonth === null) return;
  const now = ports.clock.now();
  const month = monthOf(now);
  const { cost: used } = await ports.runs.usage(caller.tenantId, month);
  if (used + planned <= work.unitsPerMonth) return;
  const count = `${used} of this month's ${work.unitsPerMonth} units of work are used`;
  const message = `${count}; this run is ${planned} more: ${limitText(work, "unitsPerMonth")}.`;
  throw new AppError("QUOTA_EXCEEDED", message, {
    fix: `Ask the operator for more, or wait for the next month, ${new Date(month.to).toISOString()}.`,
    retryAfterMs: month.to - now,
  });
}

/** From the tenant's bucket and the key's; nothing is ever lacking where there is no limit. */
async function draw(
  context: RequestContext,
  cost: number,
): Promise<{ levels: readonly number[]; waitMs: number }> {
  const { ports, caller } = context;
  const size = bucketSize(context);
  if (!size) return { levels: [], waitMs: 0 };
  return ports.budgets.draw(caller.tenantId, ["tenant", `key ${caller.keyId}`], {
    cost,
    size,
    now: ports.clock.now(),
  });
}

function bucketSize({ work }: RequestContext): BucketSize | null {
  return work.unitsPerSecond === null
    ? null
    : { capacity: work.burstUnits, perSecond: work.unitsPerSecond };
}
