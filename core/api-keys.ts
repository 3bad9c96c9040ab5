import { type AuditEntry, type Author, auditEntry } from "./audit.ts";
import { AppError } from "./errors.ts";
import { isExact } from "./exact.ts";
import { limits } from "./limits.ts";
import type { Ports } from "./ports.ts";
import {
  type ApiKey,
  isAlive,
  type KeyGrant,
  mintKey,
  randomBase62,
  type Scope,
  type Tenant,
} from "./tenant.ts";
import { noTenantLimits } from "./tenant-limits.ts";

/** Who hands out or takes away keys: the key of a request, or the operator at the command line. */
export interface Granter {
  readonly tenantId: string;
  readonly scopes: readonly Scope[];
  /** The key's id; null at the command line. */
  readonly keyId: string | null;
  /** From then on the key admits nobody; null: it does not expire. */
  readonly expiresAt: number | null;
}

/** What the rules of keys need. */
export interface KeyPorts extends Pick<Ports, "tenants" | "clock"> {
  /** Under which secrets are hashed. */
  readonly pepper: string;
}

/**
 * What is needed to change tenants and keys: each change leaves an entry of this author in the
 * audit log.
 */
export interface AuditedPorts extends Pick<Ports, "tenants" | "clock"> {
  readonly by: Author;
}

/** A key whose text is shown this once. */
export interface NewKey {
  readonly text: string;
  readonly key: ApiKey;
}

/**
 * Makes a key that can do no more than the granter, and ends no later. Throws AppError: NOT_FOUND
 * (the tenant is missing, or another's), FORBIDDEN (scopes that the granter lacks, or a later end),
 * INVALID.
 */
export async function createKey(
  ports: KeyPorts & AuditedPorts,
  granter: Granter,
  grant: KeyGrant,
): Promise<NewKey> {
  const now = ports.clock.now();
  const tenant = reaches(granter, grant.tenantId) ? await ports.tenants.get(grant.tenantId) : null;
  if (!tenant || tenant.deletion)
    throw new AppError("NOT_FOUND", "There is no such tenant.", { path: ["tenantId"] });
  requireName(grant.name);
  if (grant.scopes.length === 0)
    throw new AppError("INVALID", "A key needs at least one scope.", { path: ["scopes"] });
  if (grant.expiresAt !== null && !(grant.expiresAt > now)) {
    throw new AppError("INVALID", "The key would have expired already.", {
      path: ["expiresAt"],
      fix: "Give an instant in the future.",
    });
  }
  requireScopes(granter, grant.scopes, ["scopes"]);
  requireEnd(granter, grant.expiresAt, ["expiresAt"]);
  const fresh = mintKey({ ...grant, scopes: [...new Set(grant.scopes)] }, ports.pepper, now);
  await ports.tenants.createKey(fresh.key, creationOf(ports, fresh.key));
  return fresh;
}

/**
 * Makes a key of the same name, scopes and expiry, while the old one goes on for `graceMs`, so that
 * both can be deployed. Throws AppError: NOT_FOUND, FORBIDDEN (the key can do more than the
 * granter, or ends later), INVALID (it is dead already).
 */
export async function rerollKey(
  ports: KeyPorts & AuditedPorts,
  granter: Granter,
  given: { keyId: string; graceMs: number },
): Promise<NewKey> {
  const now = ports.clock.now();
  const key = await findKey(ports, granter, given.keyId);
  requireScopes(granter, key.scopes, ["keyId"]);
  requireEnd(granter, key.expiresAt, ["keyId"]);
  if (!isAlive(key, now))
    throw new AppError("INVALID", "The key has expired or was revoked.", {
      path: ["keyId"],
      fix: "Create a new one.",
    });
  if (
    !Number.isInteger(given.graceMs) ||
    given.graceMs < 0 ||
    given.graceMs > limits.key.graceMsMax
  ) {
    const message = `The old key lives on for 0 to ${limits.key.graceMsMax / 1_000} seconds.`;
    throw new AppError("INVALID", message, { path: ["graceSeconds"] });
  }
  const fresh = mintKey(key, ports.pepper, now);
  const expiresAt = Math.min(now + given.graceMs, key.expiresAt ?? Number.POSITIVE_INFINITY);
  const details = { expiresAt, replacedBy: fresh.key.id };
  const entries = [
    creationOf(ports, fresh.key, { replaces: key.id }),
    auditEntry(ports, "apiKey.expire", { subject: subjectOf(key), details }),
  ];
  if (await ports.tenants.replaceKey(fresh.key, { keyId: key.id, expiresAt }, entries))
    return fresh;
  throw new AppError("INVALID", "The key was changed by another request at the same time.", {
    path: ["keyId"],
    fix: "Look at the key again: if it is still alive, ask again.",
  });
}

/**
 * Ends a key at once, for good. Any key may end itself, and OPERATOR may end every key. Throws
 * AppError: NOT_FOUND, FORBIDDEN (the key can do more than the granter, or ends later).
 */
export async function revokeKey(
  ports: AuditedPorts,
  granter: Granter,
  keyId: string,
): Promise<ApiKey> {
  const key = await findKey(ports, granter, keyId);
  if (key.id !== granter.keyId && !granter.scopes.includes("OPERATOR")) {
    requireScopes(granter, key.scopes, ["keyId"]);
    requireEnd(granter, key.expiresAt, ["keyId"]);
  }
  if (key.revokedAt !== null) return key;
  const entry = auditEntry(ports, "apiKey.revoke", { subject: subjectOf(key) });
  await ports.tenants.revokeKey(key.tenantId, key.id, entry.at, entry);
  return findKey(ports, granter, keyId);
}

/** What a request was admitted by. */
export interface Pass {
  readonly keyId: string;
  /** The hash of the page's session; null where the key itself was sent. */
  readonly session: string | null;
}

/**
 * Whether what a request was admitted by still admits: neither key nor session is ended or expired,
 * the tenant is not disabled.
 */
export async function isStillAdmitted(
  { tenants, sessions, clock }: Pick<Ports, "tenants" | "sessions" | "clock">,
  { keyId, session }: Pass,
): Promise<boolean> {
  const key = await tenants.findKey(keyId);
  if (!key || !isAlive(key, clock.now())) return false;
  if ((await tenants.get(key.tenantId))?.disabledAt !== null) return false;
  if (session === null) return true;
  const found = await sessions?.find(session);
  return found != null && clock.now() < found.expiresAt;
}

/** Makes a tenant. Throws AppError INVALID. */
export async function createTenant(ports: AuditedPorts, name: string): Promise<Tenant> {
  requireName(name);
  const tenant = {
    id: `ten_${randomBase62(16)}`,
    name,
    createdAt: ports.clock.now(),
    disabledAt: null,
  };
  const details = { name };
  const subject = tenantSubject(tenant.id);
  await ports.tenants.create(tenant, auditEntry(ports, "tenant.create", { subject, details }));
  return { ...tenant, limits: noTenantLimits, deletion: null };
}

/**
 * Shuts a tenant's keys out, or lets them in again; its runs in progress end as they would. Throws
 * AppError NOT_FOUND.
 */
export async function setTenantDisabled(
  ports: AuditedPorts,
  tenantId: string,
  isDisabled: boolean,
): Promise<Tenant> {
  const { tenants } = ports;
  const known = await tenants.get(tenantId);
  if (known?.deletion && !isDisabled) throw isBeingDeleted();
  if (known && (known.disabledAt !== null) !== isDisabled) {
    const action = isDisabled ? "tenant.disable" : "tenant.enable";
    const entry = auditEntry(ports, action, { subject: tenantSubject(tenantId) });
    const isSet = await tenants.setDisabled(tenantId, isDisabled ? entry.at : null, entry);
    if (!isSet && !isDisabled) throw isBeingDeleted(); // since it was looked at
  }
  const tenant = known && (await tenants.get(tenantId));
  if (tenant) return tenant;
  throw new AppError("NOT_FOUND", "There is no such tenant.", { path: ["tenantId"] });
}

function isBeingDeleted(): AppError {
  return new AppError("INVALID", "The tenant was deleted, or is being deleted.", {
    path: ["tenantId"],
    fix: "A deletion cannot be taken back. Make a new tenant.",
  });
}

/** The entry of a key that is about to be made. */
function creationOf(
  ports: AuditedPorts,
  key: ApiKey,
  origin: { readonly replaces?: string } = {},
): AuditEntry {
  const { name, scopes, expiresAt } = key;
  const details = { name, scopes, expiresAt, ...origin };
  return auditEntry(ports, "apiKey.create", { subject: subjectOf(key), details });
}

function subjectOf({ id, tenantId }: ApiKey) {
  return { type: "ApiKey", id, tenantId };
}

/** A tenant as the subject of a change. */
export function tenantSubject(id: string) {
  return { type: "Tenant", id, tenantId: id };
}

/** Another tenant's key is as good as none. */
async function findKey(
  { tenants }: Pick<Ports, "tenants">,
  granter: Granter,
  keyId: string,
): Promise<ApiKey> {
  const key = await tenants.findKey(keyId);
  if (key && reaches(granter, key.tenantId)) return key;
  throw new AppError("NOT_FOUND", "There is no such key.", { path: ["keyId"] });
}

function reaches({ tenantId, scopes }: Granter, other: string): boolean {
  return tenantId === other || scopes.includes("OPERATOR");
}

/** An operator may grant everything. */
function requireScopes(
  { scopes }: Granter,
  wanted: readonly Scope[],
  path: readonly string[],
): void {
  const lacking = scopes.includes("OPERATOR")
    ? []
    : wanted.filter((scope) => !scopes.includes(scope));
  if (lacking.length === 0) return;
  throw new AppError(
    "FORBIDDEN",
    `Your own key lacks ${lacking.join(", ")}: it cannot grant, replace or revoke what it may not do.`,
    {
      path,
      fix: "Ask with a key that has these scopes.",
    },
  );
}

/**
 * A key with an end reaches no further than that, whatever its scopes; a key without one ends later
 * than every other.
 */
function requireEnd(
  { expiresAt: ownEnd }: Granter,
  end: number | null,
  path: readonly string[],
): void {
  if (ownEnd === null || (end !== null && end <= ownEnd)) return;
  const latest = new Date(ownEnd).toISOString();
  const isGrant = path.includes("expiresAt");
  throw new AppError(
    "FORBIDDEN",
    isGrant
      ? `Your own key ends at ${latest}: it cannot grant a key that ends later.`
      : `Your own key ends at ${latest}: it cannot replace or revoke a key that ends later.`,
    {
      path,
      fix: isGrant
        ? `Give an "expiresAt" of ${latest} or earlier, or ask with a key that ends later.`
        : "Ask with a key that ends no earlier than this one.",
    },
  );
}

function requireName(name: string): void {
  const isLine = isExact(name) && !/\p{Cc}/u.test(name);
  if (name.trim() !== "" && name.length <= limits.key.nameMax && isLine) return;
  throw new AppError("INVALID", `A name has 1 to ${limits.key.nameMax} characters on one line.`, {
    path: ["name"],
  });
}
