import type { WorkLimits } from "./budget.ts";
import { AppError } from "./errors.ts";
import type { Ports } from "./ports.ts";
import type { Tenant } from "./tenant.ts";

/**
 * What one tenant may do, in the place of the service's settings. Null: the service's setting holds, or
 * nothing is limited if there is none.
 */
export interface TenantLimits {
  /** How fast the tenant's token bucket, and that of each of its keys, fills, in units of work. */
  readonly unitsPerSecond: number | null;
  /** What such a bucket holds, in units of work. */
  readonly burstUnits: number | null;
  /** Units of work in a calendar month of UTC. */
  readonly unitsPerMonth: number | null;
  /** Runs that have not finished. */
  readonly unfinishedRuns: number | null;
  /** Days after which a finished run, and what belongs to it, is deleted. */
  readonly retentionDays: number | null;
  /** Models that runs may name: an id (all of its revisions), `id@revision` or an alias. Empty: none. */
  readonly modelsAllowed: readonly string[] | null;
  /** Hosts that webhooks may go to: `hooks.example.com`, or `*.example.com` for all below. Empty: none. */
  readonly webhookHosts: readonly string[] | null;
}

/** A change of limits: null clears a limit, and one that is absent stays as it is. */
export type TenantLimitsChange = { readonly [Name in keyof TenantLimits]?: TenantLimits[Name] };

export const noTenantLimits: TenantLimits = {
  unitsPerSecond: null,
  burstUnits: null,
  unitsPerMonth: null,
  unfinishedRuns: null,
  retentionDays: null,
  modelsAllowed: null,
  webhookHosts: null,
};

/** The names of all limits, in the order of the SDL. */
export const tenantLimitNames: readonly (keyof TenantLimits)[] = [
  "unitsPerSecond",
  "burstUnits",
  "unitsPerMonth",
  "unfinishedRuns",
  "retentionDays",
  "modelsAllowed",
  "webhookHosts",
];

/** What holds for a tenant's requests: its own limits, and the service's settings for the rest. */
export interface EffectiveLimits extends WorkLimits {
  readonly modelsAllowed: readonly string[] | null;
  readonly webhookHosts: readonly string[] | null;
  /** The limits that are the tenant's own. */
  readonly own: readonly (keyof TenantLimits)[];
}

export function effectiveLimits(service: WorkLimits, own: TenantLimits): EffectiveLimits {
  return {
    unitsPerSecond: own.unitsPerSecond ?? service.unitsPerSecond,
    burstUnits: own.burstUnits ?? service.burstUnits,
    unitsPerMonth: own.unitsPerMonth ?? service.unitsPerMonth,
    unfinishedRuns: own.unfinishedRuns ?? service.unfinishedRuns,
    modelsAllowed: own.modelsAllowed,
    webhookHosts: own.webhookHosts,
    own: tenantLimitNames.filter((name) => own[name] !== null),
  };
}

/** A limit as refusals name it: "the tenant's limit unitsPerMonth", "the service's limit unitsPerMonth". */
export function limitText({ own }: EffectiveLimits, name: keyof TenantLimits): string {
  return `the ${own.includes(name) ? "tenant" : "service"}'s limit ${name}`;
}

/** Whether webhooks may go to a URL's host; null: to every host. */
export function isHostAllowed(hosts: readonly string[] | null, url: string): boolean {
  if (hosts === null) return true;
  if (!URL.canParse(url)) return false;
  const host = new URL(url).hostname.replace(/\.$/, "");
  return hosts.some((each) =>
    each.startsWith("*.") ? host.endsWith(each.slice(1)) && host !== each.slice(2) : host === each,
  );
}

/**
 * Changes a tenant's limits: null clears one, and those that are absent stay. Throws AppError NOT_FOUND, or an
 * AggregateError of AppErrors INVALID.
 */
export async function setTenantLimits(
  { tenants }: Pick<Ports, "tenants">,
  tenantId: string,
  change: TenantLimitsChange,
): Promise<Tenant> {
  const faults = limitFaults(change);
  if (faults.length > 0) throw new AggregateError(faults);
  const isSet = await tenants.setLimits(tenantId, change);
  const tenant = isSet ? await tenants.get(tenantId) : null;
  if (tenant) return tenant;
  throw new AppError("NOT_FOUND", "There is no such tenant.", { path: ["tenantId"] });
}

/** The largest value of each number; the smallest is 1. The settings of the service have the same bounds. */
export const limitMax = {
  unitsPerSecond: 100_000_000,
  burstUnits: 100_000_000,
  unitsPerMonth: 999_999_999,
  unfinishedRuns: 100_000_000,
  retentionDays: 3_650,
} as const;

/** Names in one list of a tenant's limits, and characters of a name. */
export const listedMax = 100;
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
      isName: (name) => name.trim() !== "" && !/\p{Cc}/u.test(name),
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
