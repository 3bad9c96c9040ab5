import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { crc32 } from "node:zlib";
import type { Erased } from "./erased.ts";
import type { TenantLimits } from "./tenant-limits.ts";

/** One customer of the service. */
export interface Tenant {
  readonly id: string;
  readonly name: string;
  readonly createdAt: number;
  /** Since when none of its keys admits anybody; null while they do. */
  readonly disabledAt: number | null;
  /** What operators decided for this tenant alone. */
  readonly limits: TenantLimits;
  /** Null unless it is being deleted, or was. */
  readonly deletion: TenantDeletion | null;
}

/** A job of the store: it goes on until nothing is left, whatever ends in between. */
export interface TenantDeletion {
  readonly startedAt: number;
  /** Null while something is left. */
  readonly finishedAt: number | null;
  /** What was deleted so far. */
  readonly erased: Erased;
}

/** The tenant of whoever runs `vedere start`, which needs it in every data folder. */
export const localTenantId = "ten_local";

/** A tenant as it is made: without limits of its own. */
export type NewTenant = Omit<Tenant, "limits" | "deletion">;

/** What a key may do, as in the SDL. OPERATOR means all tenants. */
export const scopes = [
  "RUNS_READ",
  "RUNS_WRITE",
  "IMAGES_WRITE",
  "WEBHOOKS_ADMIN",
  "KEYS_ADMIN",
  "USAGE_READ",
  "OPERATOR",
] as const;
export type Scope = (typeof scopes)[number];
/** What a tenant's own people may need; keys that name no scopes get these. */
export const tenantScopes: readonly Scope[] = scopes.filter((scope) => scope !== "OPERATOR");

/** An API key as it is stored: never its secret, only the secret's HMAC. */
export interface ApiKey {
  /** 22 base62 digits. */
  readonly id: string;
  readonly tenantId: string;
  /** For people: what uses it. */
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** HMAC-SHA-256 of the secret under the service's pepper, hexadecimal. */
  readonly secretHash: string;
  readonly createdAt: number;
  /** From then on it admits nobody; null: it does not expire. */
  readonly expiresAt: number | null;
  readonly revokedAt: number | null;
}

/** What is decided about a key when it is made. */
export type KeyGrant = Pick<ApiKey, "tenantId" | "name" | "scopes" | "expiresAt">;

const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const keyPattern = /^vdr_live_([0-9A-Za-z]{22})([0-9A-Za-z]{32})([0-9A-Za-z]{6})$/;

/**
 * A new key: its text, shown once (`vdr_live_<22 id><32 secret><6 checksum>`), and the record to
 * store.
 */
export function mintKey(
  grant: KeyGrant,
  pepper: string,
  now: number,
): { text: string; key: ApiKey } {
  const id = randomBase62(22);
  const secret = randomBase62(32);
  const { tenantId, name, scopes, expiresAt } = grant;
  const secretHash = hashSecret(secret, pepper);
  const key = {
    id,
    tenantId,
    name,
    scopes,
    secretHash,
    createdAt: now,
    expiresAt,
    revokedAt: null,
  };
  return { text: `vdr_live_${id}${secret}${checksum(id + secret)}`, key };
}

/**
 * Takes a key's text apart; null where it is malformed or mistyped (the checksum tells), so that no
 * read is spent on it.
 */
export function parseKey(text: string): { id: string; secret: string } | null {
  const [, id, secret, sum] = keyPattern.exec(text) ?? [];
  if (!id || !secret || checksum(id + secret) !== sum) return null;
  return { id, secret };
}

/**
 * Whether a secret belongs to a stored key that is neither revoked nor expired; in constant time.
 */
export function keyAdmits(
  key: ApiKey,
  secret: string,
  { pepper, now }: { pepper: string; now: number },
): boolean {
  const same = timingSafeEqual(
    Buffer.from(hashSecret(secret, pepper), "hex"),
    Buffer.from(key.secretHash, "hex"),
  );
  return same && isAlive(key, now);
}

/** Neither revoked nor expired. */
export function isAlive({ revokedAt, expiresAt }: ApiKey, now: number): boolean {
  return revokedAt === null && (expiresAt === null || now < expiresAt);
}

/** Random base62 text; each digit is drawn without bias. */
export function randomBase62(length: number): string {
  let text = "";
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      if (byte < 248 && text.length < length) text += digits[byte % 62];
    }
  }
  return text;
}

function hashSecret(secret: string, pepper: string): string {
  return createHmac("sha256", pepper).update(secret).digest("hex");
}

function checksum(text: string): string {
  let value = crc32(text) >>> 0;
  let out = "";
  for (let i = 0; i < 6; i += 1) {
    out = (digits[value % 62] ?? "0") + out;
    value = Math.floor(value / 62);
  }
  return out;
}
