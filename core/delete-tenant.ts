import { type AuditedPorts, tenantSubject } from "./api-keys.ts";
import { auditEntry } from "./audit.ts";
import { AppError } from "./errors.ts";
import type { Ports } from "./ports.ts";
import { dayMs } from "./retention.ts";
import { localTenantId, type Tenant } from "./tenant.ts";

/**
 * Begins to delete a tenant with all that it has, for good: its keys are shut out at once, and
 * whoever sweeps deletes the rest. Asked again, it tells how far that is. Throws AppError
 * NOT_FOUND, or INVALID for the caller's own tenant and the local one.
 */
export async function deleteTenant(ports: AuditedPorts, tenantId: string): Promise<Tenant> {
  const { tenants, by } = ports;
  if (by.tenantId === tenantId) {
    throw new AppError("INVALID", "The tenant is that of this API key.", {
      path: ["tenantId"],
      fix: "Use an operator's key of another tenant, or `vedere tenants delete`.",
    });
  }
  if (tenantId === localTenantId) {
    throw new AppError("INVALID", "The local tenant belongs to `vedere start`.", {
      path: ["tenantId"],
      fix: "Disable it, or delete its runs. To begin anew, choose another data folder.",
    });
  }
  const entry = auditEntry(ports, "tenant.delete", { subject: tenantSubject(tenantId) });
  const isBegun = await tenants.beginDeletion(tenantId, entry.at, entry);
  const tenant = isBegun ? await tenants.get(tenantId) : null;
  if (tenant) return tenant;
  throw new AppError("NOT_FOUND", "There is no such tenant.", { path: ["tenantId"] });
}

/**
 * Goes on with the deletions that have begun. For a day after the end of one it looks again, for
 * what requests that were on their way have still stored. `pause` comes between two steps, and ends
 * the round by giving false.
 */
export async function eraseDeletedTenants(
  { tenants, retention, clock }: Pick<Ports, "tenants" | "retention" | "clock">,
  { pause }: { pause: () => Promise<boolean> },
): Promise<void> {
  for (const { id, deletion } of await tenants.deletions(clock.now() - dayMs)) {
    for (let isLeft = true; isLeft; ) {
      isLeft = await retention.eraseTenant(id);
      if (!(await pause())) return;
    }
    if (deletion?.finishedAt === null) await tenants.endDeletion(id, clock.now());
  }
}
