import { addErased, type Erased, isNothing, nothingErased } from "./erased.ts";
import type { Ports } from "./ports.ts";
import { dayMs } from "./retention.ts";
import type { Tenant } from "./tenant.ts";

const tenantsAtOnce = 100;

/**
 * Deletes all that is older than it is to be kept. `days` is the service's setting, null for no
 * end; a tenant's own limit counts if it is shorter. `pause` lets others work between two steps,
 * and ends the round by giving false.
 */
export async function retain(
  { retention, tenants, clock }: Pick<Ports, "retention" | "tenants" | "clock">,
  { days, pause }: { days: number | null; pause: () => Promise<boolean> },
): Promise<Erased> {
  let erased = nothingErased;
  /** False: the round is over. */
  const repeat = async (step: () => Promise<Erased>): Promise<boolean> => {
    for (;;) {
      const done = await step();
      erased = addErased(erased, done);
      if (!(await pause())) return false;
      if (isNothing(done)) return true;
    }
  };
  if (!(await repeat(() => retention.tidy()))) return erased;
  for (let after: string | null = null; ; ) {
    const page: Tenant[] = await tenants.list({ first: tenantsAtOnce, after });
    for (const { id, limits } of page) {
      const keptDays = daysKept(days, limits.retentionDays);
      if (keptDays === null) continue;
      const before = clock.now() - keptDays * dayMs;
      if (!(await repeat(() => retention.expire(id, before)))) return erased;
    }
    after = page.at(-1)?.id ?? null;
    if (page.length < tenantsAtOnce) return erased;
  }
}

/** The shorter of the service's and the tenant's; null: for ever. */
export function daysKept(service: number | null, own: number | null): number | null {
  if (service === null || own === null) return own ?? service;
  return Math.min(service, own);
}
