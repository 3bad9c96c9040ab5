import type { Tenants } from "../core/ports.ts";
import { type ApiKey, scopes, type Tenant } from "../core/tenant.ts";
import { noTenantLimits, type TenantLimits } from "../core/tenant-limits.ts";
import { integer, type Row, type Sqlite, text } from "./sqlite.ts";

/** Tenants and their API keys in SQLite. */
export function sqliteTenants(sqlite: Sqlite): Tenants {
  return {
    async create({ id, name, createdAt, disabledAt }) {
      sqlite.run(
        "INSERT INTO tenants (id, name, created_at, disabled_at) VALUES (?, ?, ?, ?)",
        id,
        name,
        createdAt,
        disabledAt,
      );
    },
    async get(tenantId) {
      const row = sqlite.first("SELECT * FROM tenants WHERE id = ?", tenantId);
      return row && tenantOf(row);
    },
    async list({ first, after }) {
      return sqlite
        .all("SELECT * FROM tenants WHERE id > ? ORDER BY id LIMIT ?", after ?? "", first)
        .map(tenantOf);
    },
    async setDisabled(tenantId, disabledAt) {
      return (
        sqlite.run("UPDATE tenants SET disabled_at = ? WHERE id = ?", disabledAt, tenantId) > 0
      );
    },
    async setLimits(tenantId, change) {
      // Of limits that were changed by others meanwhile, those that this change does not name stay;
      // json_patch removes what is null (RFC 7396).
      const sql = "UPDATE tenants SET limits = json_patch(limits, ?) WHERE id = ?";
      return sqlite.run(sql, JSON.stringify(change), tenantId) > 0;
    },
    async createKey({ id, tenantId, name, scopes, secretHash, createdAt, expiresAt, revokedAt }) {
      sqlite.run(
        `INSERT INTO api_keys (id, tenant_id, name, scopes, secret_hash, created_at, expires_at, revoked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
        ...[
          id,
          tenantId,
          name,
          JSON.stringify(scopes),
          secretHash,
          createdAt,
          expiresAt,
          revokedAt,
        ],
      );
    },
    async findKey(keyId) {
      const row = sqlite.first("SELECT * FROM api_keys WHERE id = ?", keyId);
      return row && keyOf(row);
    },
    async keys(tenantId) {
      return sqlite
        .all("SELECT * FROM api_keys WHERE tenant_id = ? ORDER BY created_at DESC, id", tenantId)
        .map(keyOf);
    },
    async expireKey(tenantId, keyId, expiresAt) {
      const earlier =
        "UPDATE api_keys SET expires_at = min(coalesce(expires_at, ?1), ?1) WHERE tenant_id = ?2 AND id = ?3";
      return sqlite.run(earlier, expiresAt, tenantId, keyId) > 0;
    },
    async revokeKey(tenantId, keyId, revokedAt) {
      const first =
        "UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?) WHERE tenant_id = ? AND id = ?";
      return sqlite.run(first, revokedAt, tenantId, keyId) > 0;
    },
  };
}

function tenantOf(row: Row): Tenant {
  return {
    id: text(row, "id"),
    name: text(row, "name"),
    createdAt: integer(row, "created_at"),
    disabledAt: instant(row, "disabled_at"),
    limits: limitsOf(row),
  };
}

/** The column holds the limits that are set. */
function limitsOf(row: Row): TenantLimits {
  const set: Partial<TenantLimits> = JSON.parse(text(row, "limits")); // written above
  return { ...noTenantLimits, ...set };
}

function keyOf(row: Row): ApiKey {
  const granted: unknown = JSON.parse(text(row, "scopes"));
  return {
    id: text(row, "id"),
    tenantId: text(row, "tenant_id"),
    name: text(row, "name"),
    scopes: scopes.filter((scope) => Array.isArray(granted) && granted.includes(scope)),
    secretHash: text(row, "secret_hash"),
    createdAt: integer(row, "created_at"),
    expiresAt: instant(row, "expires_at"),
    revokedAt: instant(row, "revoked_at"),
  };
}

function instant(row: Row, column: string): number | null {
  return row[column] === null ? null : integer(row, column);
}
