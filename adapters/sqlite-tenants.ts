import type { AuditEntry } from "../core/audit.ts";
import { nothingErased } from "../core/erased.ts";
import type { Tenants } from "../core/ports.ts";
import { type ApiKey, scopes, type Tenant, type TenantDeletion } from "../core/tenant.ts";
import { noTenantLimits, type TenantLimits } from "../core/tenant-limits.ts";
import { integer, type Row, type Sqlite, text } from "./sqlite.ts";
import { appendEntry, changeAudited } from "./sqlite-audit.ts";

/** Tenants and their API keys in SQLite. */
export function sqliteTenants(sqlite: Sqlite): Tenants {
  const change = (entry: AuditEntry | undefined, ...statement: Parameters<Sqlite["run"]>): number =>
    changeAudited(sqlite, () => sqlite.run(...statement), entry);

  return {
    async create({ id, name, createdAt, disabledAt }, entry) {
      const sql = "INSERT INTO tenants (id, name, created_at, disabled_at) VALUES (?, ?, ?, ?)";
      change(entry, sql, id, name, createdAt, disabledAt);
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
    async setDisabled(tenantId, disabledAt, entry) {
      const sql =
        "UPDATE tenants SET disabled_at = ?1 WHERE id = ?2 AND (deletion IS NULL OR ?1 IS NOT NULL)";
      return change(entry, sql, disabledAt, tenantId) > 0;
    },
    async beginDeletion(tenantId, at, entry) {
      const deletion: TenantDeletion = { startedAt: at, finishedAt: null, erased: nothingErased };
      const begun = change(
        entry,
        `UPDATE tenants SET disabled_at = coalesce(disabled_at, ?1), deletion = ?2
         WHERE id = ?3 AND deletion IS NULL`,
        ...[at, JSON.stringify(deletion), tenantId],
      );
      return begun > 0 || sqlite.first("SELECT 1 FROM tenants WHERE id = ?", tenantId) !== null;
    },
    async deletions(endedAfter) {
      return sqlite
        .all("SELECT * FROM tenants WHERE deletion_end > ? ORDER BY deletion_end", endedAfter)
        .map(tenantOf);
    },
    async endDeletion(tenantId, at) {
      sqlite.run(
        `UPDATE tenants SET name = '', limits = '{}', deletion = json_set(deletion, '$.finishedAt', ?1)
         WHERE id = ?2 AND deletion ->> '$.finishedAt' IS NULL`,
        at,
        tenantId,
      );
    },
    async setLimits(tenantId, limits, entry) {
      // Of limits that were changed by others meanwhile, those that this change does not name stay;
      // json_patch removes what is null (RFC 7396).
      const sql = "UPDATE tenants SET limits = json_patch(limits, ?) WHERE id = ?";
      return change(entry, sql, JSON.stringify(limits), tenantId) > 0;
    },
    async createKey(key, entry) {
      change(entry, ...insertionOf(key));
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
    async replaceKey(fresh, { keyId, expiresAt }, entries = []) {
      return sqlite.write(() => {
        const moved = sqlite.run(
          `UPDATE api_keys SET expires_at = ?1 WHERE tenant_id = ?2 AND id = ?3
           AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at >= ?1)`,
          ...[expiresAt, fresh.tenantId, keyId],
        );
        if (moved === 0) return false;
        sqlite.run(...insertionOf(fresh));
        for (const entry of entries) appendEntry(sqlite, entry);
        return true;
      });
    },
    async revokeKey(tenantId, keyId, revokedAt, entry) {
      const first =
        "UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?) WHERE tenant_id = ? AND id = ?";
      return change(entry, first, revokedAt, tenantId, keyId) > 0;
    },
  };
}

function insertionOf(key: ApiKey): Parameters<Sqlite["run"]> {
  const { id, tenantId, name, scopes, secretHash, createdAt, expiresAt, revokedAt } = key;
  return [
    `INSERT INTO api_keys (id, tenant_id, name, scopes, secret_hash, created_at, expires_at, revoked_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    ...[id, tenantId, name, JSON.stringify(scopes), secretHash, createdAt, expiresAt, revokedAt],
  ];
}

function tenantOf(row: Row): Tenant {
  return {
    id: text(row, "id"),
    name: text(row, "name"),
    createdAt: integer(row, "created_at"),
    disabledAt: instant(row, "disabled_at"),
    limits: limitsOf(row),
    deletion: deletionOf(row),
  };
}

function deletionOf(row: Row): TenantDeletion | null {
  if (row.deletion === null) return null;
  const deletion: TenantDeletion = JSON.parse(text(row, "deletion")); // written above
  return deletion;
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
