import { type AuditedPorts, tenantSubject } from "./api-keys.ts";
import { auditEntry } from "./audit.ts";
import { AppError } from "./errors.ts";
import { isExact } from "./exact.ts";
import type { Tenant } from "./tenant.ts";
import { limitMax, type TenantLimitsChange } from "./tenant-limits.ts";

/**
 * Changes a tenant's limits: null clears one, and those that are absent stay. Throws AppError
 * NOT_FOUND, or an AggregateError of AppErrors INVALID.
 */
export async function setTenantLimits(
  ports: AuditedPorts,
  tenantId: string,
  change: TenantLimitsChange,
): Promise<Tenant> {
  const faults = limitFaults(change);
  if (faults.length > 0) throw new AggregateError(faults);
  const { tenants } = ports;
  const entry = auditEntry(ports, "tenant.limit", {
    subject: tenantSubject(tenantId),
    details: { ...change },
  });
  const isSet = await tenants.setLimits(tenantId, change, entry);
  const tenant = isSet ? await tenants.get(tenantId) : null;
  if (tenant) return tenant;
  throw new AppError("NOT_FOUND", "There is no such tenant.", { path: ["tenantId"] });
}

/** Names in one list of a tenant's limits, and characters of a name. */
const listedMax = 100;
const nameMax = 253;

/** A host, or `*.` and a host; in lower case, without a port. */
const hostPattern =
  /^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Whatever is wrong with a change, each fault in its own place; empty if it can be stored. */
export function limitFaults(change: TenantLimitsChange): AppError[] {
  const numbers = Object.entries(limitMax).flatMap(([name, max]) => {
    const value = change[name as keyof typeof limitMax];
    if (value === null || value === undefined) return [];
    if (Number.isInteger(value) && value >= 1 && value <= max) return [];
    return [
      new AppError("INVALID", `"${name}": ${value} is out of bounds.`, {
        path: [name],
        fix: `Give a whole number from 1 to ${max}, or null for the service's setting.`,
      }),
    ];
  });
  return [
    ...numbers,
    ...listFaults("modelsAllowed", change.modelsAllowed, {
      isName: (name) => name.trim() !== "" && isExact(name) && !/\p{Cc}/u.test(name),
      fix: "Name models by id, id@revision or alias.",
    }),
    ...listFaults("webhookHosts", change.webhookHosts, {
      isName: (name) => hostPattern.test(name),
      fix: "Write hosts in lower case without a port, such as hooks.example.com or *.example.com.",
    }),
  ];
}

function listFaults(
  name: "modelsAllowed" | "webhookHosts",
  list: readonly string[] | null | undefined,
  { isName, fix }: { isName: (name: string) => boolean; fix: string },
): AppError[] {
  if (!list) return [];
  if (list.length > listedMax) {
    return [
      new AppError("INVALID", `"${name}" has ${list.length} entries.`, {
        path: [name],
        fix: `Give at most ${listedMax}.`,
      }),
    ];
  }
  return list.flatMap((each, i) =>
    each.length <= nameMax && isName(each)
      ? []
      : [
          new AppError("INVALID", `"${name}" has an entry that is not one.`, {
            path: [name, String(i)],
            fix,
          }),
        ],
  );
}
