import type { AuditEntry } from "./audit.ts";
import type { Erased } from "./erased.ts";

/**
 * Deletes. What was deleted already may be deleted again, with no effect. A deletion that is given
 * an entry of the audit log leaves it, and no entry where there was nothing to delete.
 */
export interface Retention {
  /**
   * Deletes a finished run with its event, deliveries, dead letters and idempotency key, and its
   * image if no other run has it; whoever waits for the run sees that it is gone. Its charges stay.
   * "unfinished": nothing is changed.
   */
  removeRun(
    tenantId: string,
    runId: string,
    entry?: AuditEntry,
  ): Promise<"removed" | "missing" | "unfinished">;
  /**
   * Deletes an image, whose runs stay. "needed": a run that has not finished has it, and nothing is
   * changed.
   */
  removeImage(
    tenantId: string,
    imageId: string,
    entry?: AuditEntry,
  ): Promise<"removed" | "missing" | "needed">;
  /**
   * Deletes some of what a tenant's finished before an instant: runs with all that belongs to them,
   * images that no run has any more, deliveries, charges (their sums stay) and dead letters.
   * Nothing erased: there is nothing left. A step holds the store for a few milliseconds, as does a
   * step of `tidy`.
   */
  expire(tenantId: string, before: number): Promise<Erased>;
  /**
   * Deletes some of all that a tenant has, runs that have not finished included, and adds it to the
   * tenant's deletion. False: nothing was left but the tenant, its sums of usage and the audit log.
   */
  eraseTenant(tenantId: string): Promise<boolean>;
  /**
   * Deletes some of what nobody needs, whatever is to be kept: images that no run has taken and
   * uploads, a day later.
   */
  tidy(): Promise<Erased>;
}

export const dayMs = 86_400_000;
