import type { Tenants } from "../core/ports.ts";
import { integer, type Sqlite, text } from "./sqlite.ts";

/** Tenants and their API keys in SQLite. */
export function sqliteTenants(sqlite: Sqlite): Tenants {
  return {
    async create(tenant) {
      sqlite.run("INSERT INTO tenants (id, name, created_at) VALUES (?, ?, ?)", tenant.id, tenant.name, tenant.createdAt);
    },
    async get(tenantId) {
      const row = sqlite.first("SELECT * FROM tenants WHERE id = ?", tenantId);
      return row && { id: text(row, "id"), name: text(row, "name"), createdAt: integer(row, "created_at") };
    },
    async createKey(key) {
      sqlite.run(
        "INSERT INTO api_keys (id, tenant_id, secret_hash, created_at, revoked_at) VALUES (?, ?, ?, ?, ?)",
        key.id,
        key.tenantId,
        key.secretHash,
        key.createdAt,
        key.revokedAt,
      );
    },
    async findKey(keyId) {
      const row = sqlite.first("SELECT * FROM api_keys WHERE id = ?", keyId);
      return (
        row && {
          id: text(row, "id"),
          tenantId: text(row, "tenant_id"),
          secretHash: text(row, "secret_hash"),
          createdAt: integer(row, "created_at"),
          revokedAt: row.revoked_at === null ? null : integer(row, "revoked_at"),
        }
      );
    },
  };
}
