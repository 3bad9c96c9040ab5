import { join } from "node:path";
import { addErased, type Erased, nothingErased } from "../core/erased.ts";
import { integer, type Row, type Sqlite, text } from "./sqlite.ts";
import { removeFile, removeImage, removeRun } from "./sqlite-removal.ts";

/** A kind of record that a tenant has. */
interface Kind {
  /** Some of the tenant's (?1), as many as ?2. */
  readonly select: string;
  /** Deletes one, with what belongs to it. Gives what was deleted, as far as it is counted. */
  remove(row: Row, now: number): Erased | null;
}

/**
 * Deletes some of all that a tenant has, the first kind first, in one transaction that takes no
 * further record after `msMax`; and adds it to the tenant's deletion. Sums of usage and the audit
 * log stay. False if nothing was left.
 */
export function eraseFromTenant(
  sqlite: Sqlite,
  { tenantId, now }: { tenantId: string; now: number },
  { msMax, rowsMax }: { msMax: number; rowsMax: number },
): boolean {
  for (const kind of kindsOf(sqlite, tenantId)) {
    const rows = sqlite.all(kind.select, tenantId, rowsMax);
    if (rows.length === 0) continue;
    sqlite.write(() => {
      let erased = nothingErased;
      const begun = performance.now();
      for (const row of rows) {
        erased = addErased(erased, kind.remove(row, now) ?? nothingErased);
        if (performance.now() - begun > msMax) break;
      }
      note(sqlite, tenantId, erased);
    });
    return true;
  }
  return false;
}

function kindsOf(sqlite: Sqlite, tenantId: string): Kind[] {
  /** Records of a table that nothing else belongs to, by their rowid. */
  const rowsOf = (table: string, counted: keyof Erased | null): Kind => ({
    select: `SELECT rowid AS row FROM ${table} WHERE tenant_id = ?1 LIMIT ?2`,
    remove(row) {
      sqlite.run(`DELETE FROM ${table} WHERE rowid = ?`, integer(row, "row"));
      return counted && { ...nothingErased, [counted]: 1 };
    },
  });
  /** The same of a table whose key is the tenant and a name. */
  const namedOf = (table: string, name: string, counted: keyof Erased | null): Kind => ({
    select: `SELECT ${name} AS name FROM ${table} WHERE tenant_id = ?1 LIMIT ?2`,
    remove(row) {
      sqlite.run(
        `DELETE FROM ${table} WHERE tenant_id = ? AND ${name} = ?`,
        tenantId,
        text(row, "name"),
      );
      return counted && { ...nothingErased, [counted]: 1 };
    },
  });
  /** The same of a table whose key is a hash. */
  const hashedOf = (table: string): Kind => ({
    select: `SELECT hash FROM ${table} WHERE tenant_id = ?1 LIMIT ?2`,
    remove(row) {
      sqlite.run(`DELETE FROM ${table} WHERE hash = ?`, text(row, "hash"));
      return null;
    },
  });

  return [
    hashedOf("sign_in_tokens"),
    hashedOf("sessions"),
    {
      select: "SELECT id FROM api_keys WHERE tenant_id = ?1 LIMIT ?2",
      remove(row) {
        sqlite.run("DELETE FROM api_keys WHERE id = ?", text(row, "id"));
        return { ...nothingErased, apiKeys: 1 };
      },
    },
    namedOf("webhook_endpoints", "id", "endpoints"),
    rowsOf("webhook_outbox", null),
    rowsOf("messages", null),
    {
      select: "SELECT id FROM runs WHERE tenant_id = ?1 LIMIT ?2",
      remove: (row, now) => removeRun(sqlite, { tenantId, runId: text(row, "id"), now }),
    },
    {
      select: "SELECT id FROM images WHERE tenant_id = ?1 LIMIT ?2",
      remove: (row, now) => ({
        ...nothingErased,
        images: removeImage(sqlite, { tenantId, imageId: text(row, "id"), now }),
      }),
    },
    {
      select: "SELECT id FROM uploads WHERE tenant_id = ?1 LIMIT ?2",
      remove(row) {
        removeFile(sqlite, join("uploads", text(row, "id")));
        sqlite.run("DELETE FROM uploads WHERE id = ?", text(row, "id"));
        return { ...nothingErased, uploads: 1 };
      },
    },
    rowsOf("webhook_deliveries", "deliveries"),
    rowsOf("dead_letters", "deadLetters"),
    {
      select: "SELECT run_id, task FROM charges WHERE tenant_id = ?1 LIMIT ?2",
      remove(row) {
        sqlite.run(
          "DELETE FROM charges WHERE tenant_id = ? AND run_id = ? AND task = ?",
          ...[tenantId, text(row, "run_id"), integer(row, "task")],
        );
        return { ...nothingErased, charges: 1 };
      },
    },
    namedOf("budgets", "name", null),
  ];
}

/** In the transaction that deletes, so that the report is true whatever ends in between. */
function note(sqlite: Sqlite, tenantId: string, erased: Erased): void {
  const row = sqlite.first("SELECT deletion FROM tenants WHERE id = ?", tenantId);
  if (!row || row.deletion === null) return;
  const deletion: { erased: Erased } = JSON.parse(text(row, "deletion")); // written by sqliteTenants
  sqlite.run(
    "UPDATE tenants SET deletion = ? WHERE id = ?",
    JSON.stringify({ ...deletion, erased: addErased(deletion.erased, erased) }),
    tenantId,
  );
}
