import type { GraphQLSchema } from "graphql";
import type { KeyPorts, Pass } from "../core/api-keys.ts";
import type { ModelInfo, Ports, WorkerReport } from "../core/ports.ts";
import { type ApiKey, keyAdmits, parseKey, type Scope } from "../core/tenant.ts";
import type { EffectiveLimits, TenantLimits } from "../core/tenant-limits.ts";
import type { Tracing } from "../core/tracing.ts";
import type { Decode } from "../images/decode-whole.ts";
import type { Admission } from "./admission.ts";
import type { FetchSettings } from "./fetch-image.ts";
import { keyIsDead, unauthenticated } from "./unauthenticated.ts";

/** Where the gateway writes what happened; a pino logger is one. */
export interface Log {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Whose request this is. */
export interface Caller extends Pass {
  readonly tenantId: string;
  readonly scopes: readonly Scope[];
  /** The tenant's own. */
  readonly limits: TenantLimits;
  /** When the key ends; null: it does not. What is derived from the key ends no later. */
  readonly expiresAt: number | null;
}

/** What the runs of one request cost, for its `extensions`. */
export interface RequestCost {
  /** Of all runs that were asked for. */
  requested: number;
  /** Of those that were taken: replays and refusals cost nothing. */
  actual: number;
}

/** What the resolvers of one request share. */
export interface RequestContext {
  readonly ports: Ports;
  /** Under which the secrets of API keys are hashed, and those of webhooks sealed. */
  readonly pepper: string;
  readonly caller: Caller;
  /** The IP address of whoever sent the request. */
  readonly address: string;
  readonly requestId: string;
  readonly log: Log;
  readonly tracing: Tracing;
  /** Of this request's span; null where nothing is traced. */
  readonly traceparent: string | null;
  readonly schema: GraphQLSchema;
  readonly fetch: FetchSettings;
  readonly decode: Decode;
  /** What holds for this tenant. */
  readonly work: EffectiveLimits;
  /** Adds up as the request's runs are taken. */
  readonly cost: RequestCost;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** The key, for as long as the request takes. */
  readonly admission: Admission;
  /**
   * The models of the service, read once per request; anew, and from then on, where they are asked
   * to be fresh.
   */
  models(options?: { readonly isFresh: boolean }): Promise<readonly ModelInfo[]>;
  /** What the living workers say about them, read once per request. */
  workerReports(): Promise<readonly WorkerReport[]>;
}

/**
 * Whose key an Authorization header carries. Throws AppError UNAUTHENTICATED; a key that is
 * unknown, has another secret or is revoked is refused with the same words and after the same work;
 * so is one that has expired, or whose tenant is disabled.
 */
export async function authenticate(
  authorization: string | null,
  { tenants, clock, pepper }: KeyPorts,
): Promise<Caller> {
  const [, text] = /^Bearer +(\S+)$/i.exec(authorization ?? "") ?? [];
  if (text === undefined) throw unauthenticated("This request carries no API key.");
  const parsed = parseKey(text);
  if (!parsed) throw unauthenticated("This API key is malformed (typing mistake?).");
  const key = await tenants.findKey(parsed.id);
  const isAdmitted = keyAdmits(key ?? nobody, parsed.secret, { pepper, now: clock.now() });
  const tenant = await tenants.get(key?.tenantId ?? "");
  if (!key || !isAdmitted || tenant?.disabledAt !== null) throw keyIsDead();
  return {
    tenantId: key.tenantId,
    keyId: key.id,
    session: null,
    scopes: key.scopes,
    limits: tenant.limits,
    expiresAt: key.expiresAt,
  };
}

/**
 * Stands in for a key that does not exist, so that its absence takes as long to find out as a wrong
 * secret. No secret has this hash.
 */
const nobody: ApiKey = {
  ...{ id: "", tenantId: "", name: "", scopes: [], createdAt: 0, expiresAt: 0, revokedAt: 0 },
  secretHash: "0".repeat(64),
};

/** Calls `read` when it is first needed, and again where its result is asked to be fresh. */
export function once<T>(
  read: (isFresh: boolean) => Promise<T>,
): (options?: { readonly isFresh: boolean }) => Promise<T> {
  let reading: Promise<T> | undefined;
  return ({ isFresh } = { isFresh: false }) => {
    if (!reading || isFresh) reading = read(isFresh);
    return reading;
  };
}
