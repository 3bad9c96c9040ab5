import { limits } from "../core/limits.ts";
import type { Sessions } from "../core/ports.ts";
import { sessionScopes } from "../core/session.ts";
import type { Session, SignInToken } from "../core/session-record.ts";
import { integer, type Row, type Sqlite, text } from "./sqlite.ts";
import { appendEntry, changeAudited } from "./sqlite-audit.ts";

/** Sign-in links and sessions of pages in SQLite. */
export function sqliteSessions(sqlite: Sqlite): Sessions {
  return {
    async createToken({ hash, tenantId, keyId, expiresAt }, now, entry) {
      sqlite.write(() => {
        sqlite.run("DELETE FROM sign_in_tokens WHERE expires_at <= ?", now);
        sqlite.run(
          "INSERT INTO sign_in_tokens (hash, tenant_id, key_id, expires_at) VALUES (?, ?, ?, ?)",
          ...[hash, tenantId, keyId, expiresAt],
        );
        if (entry) appendEntry(sqlite, entry);
      });
    },
    async takeToken(hash) {
      const row = sqlite.first("DELETE FROM sign_in_tokens WHERE hash = ? RETURNING *", hash);
      return row && tokenOf(row);
    },
    async create({ hash, tenantId, keyId, scopes, createdAt, expiresAt }, entry) {
      sqlite.write(() => {
        sqlite.run("DELETE FROM sessions WHERE expires_at <= ?", createdAt);
        sqlite.run(
          `DELETE FROM sessions WHERE key_id = ?1 AND hash NOT IN
           (SELECT hash FROM sessions WHERE key_id = ?1 ORDER BY created_at DESC LIMIT ?2)`,
          ...[keyId, limits.session.perKeyMax - 1],
        );
        sqlite.run(
          `INSERT INTO sessions (hash, tenant_id, key_id, scopes, created_at, expires_at)
           VALUES (?, ?, ?, ?, ?, ?)`,
          ...[hash, tenantId, keyId, JSON.stringify(scopes), createdAt, expiresAt],
        );
        if (entry) appendEntry(sqlite, entry);
      });
    },
    async find(hash) {
      const row = sqlite.first("SELECT * FROM sessions WHERE hash = ?", hash);
      return row && sessionOf(row);
    },
    async end(hash, entry) {
      const sql = "DELETE FROM sessions WHERE hash = ?";
      changeAudited(sqlite, () => sqlite.run(sql, hash), entry);
    },
  };
}

function tokenOf(row: Row): SignInToken {
  return {
    hash: text(row, "hash"),
    tenantId: text(row, "tenant_id"),
    keyId: text(row, "key_id"),
    expiresAt: integer(row, "expires_at"),
  };
}

function sessionOf(row: Row): Session {
  const granted: unknown = JSON.parse(text(row, "scopes"));
  return {
    ...tokenOf(row),
    scopes: sessionScopes.filter((scope) => Array.isArray(granted) && granted.includes(scope)),
    createdAt: integer(row, "created_at"),
  };
}
