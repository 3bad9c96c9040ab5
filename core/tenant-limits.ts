import type { WorkLimits } from "./budget.ts";

/**
 * What one tenant may do, in the place of the service's settings. Null: the service's setting
 * holds, or nothing is limited if there is none.
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
  /**
   * Days after which a finished run, and what belongs to it, is deleted, if fewer than the
   * service's.
   */
  readonly retentionDays: number | null;
  /**
   * Models that runs may name: an id (all of its revisions), `id@revision` or an alias. Empty:
   * none.
   */
  readonly modelsAllowed: readonly string[] | null;
  /**
   * Hosts that webhooks may go to: `hooks.example.com`, or `*.example.com` for all below. Empty:
   * none.
   */
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

/**
 * A limit as refusals name it: "the tenant's limit unitsPerMonth", "the service's limit
 * unitsPerMonth".
 */
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
 * The largest value of each number; the smallest is 1. The settings of the service have the same
 * bounds.
 */
export const limitMax = {
  unitsPerSecond: 100_000_000,
  burstUnits: 100_000_000,
  unitsPerMonth: 999_999_999,
  unfinishedRuns: 100_000_000,
  retentionDays: 3_650,
} as const;
