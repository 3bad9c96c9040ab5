import type Database from "libsql";
import { integer, isRow, type Row, text } from "./sqlite.ts";
import type { Patience, StorageGroup } from "./storage-report.ts";

/** The tables of a database by what they are for; each takes its indexes along. */
export const tableGroups: Readonly<Record<string, readonly string[]>> = {
  runs: ["runs"],
  charges: ["charges"],
  "usage sums": ["usage_sums"],
  "image records": ["images", "uploads", "removed_images", "removed_files"],
  deliveries: ["webhook_deliveries", "webhook_outbox"],
  "audit log": ["audit_log"],
  queue: ["messages", "dead_letters"],
  "tenants, keys, settings": [
    ...["tenants", "api_keys", "budgets", "webhook_endpoints", "sign_in_tokens", "sessions"],
    ...["probes", "model_aliases", "worker_reports", "sqlite_schema", "sqlite_sequence"],
  ],
};

/**
 * What each group of tables takes, by its pages (https://sqlite.org/dbstat.html), the largest
 * first. A page is looked at after the other, so that it ends with the time; other processes read
 * and write meanwhile.
 */
export function measureTables(db: Database.Database, hasTime: Patience): StorageGroup[] {
  const groupOf = new Map(
    Object.entries(tableGroups).flatMap(([group, names]) =>
      names.map((name) => [name, group] as const),
    ),
  );
  const parts = db
    .prepare(
      "SELECT name, tbl_name FROM sqlite_schema WHERE rootpage > 0 UNION ALL SELECT 'sqlite_schema', 'sqlite_schema'",
    )
    .all()
    .filter(isRow);
  const bytes = new Map<string, number>(Object.keys(tableGroups).map((group) => [group, 0]));
  const pages = db.prepare("SELECT pgsize FROM dbstat WHERE name = ?");
  for (const part of parts) {
    const group = groupOf.get(text(part, "tbl_name")) ?? "other tables";
    for (const row of pages.iterate(text(part, "name"))) {
      if (isRow(row)) bytes.set(group, (bytes.get(group) ?? 0) + integer(row, "pgsize"));
      if (!hasTime()) break;
    }
    if (!hasTime()) break;
  }
  return [...bytes].map(([name, bytes]) => ({ name, bytes })).sort((a, b) => b.bytes - a.bytes);
}

/** Of pages that hold nothing. */
export function unusedBytes(db: Database.Database): number {
  const [free = 0, size = 0] = ["freelist_count", "page_size"].map((name) => {
    const row: unknown = db.prepare(`PRAGMA ${name}`).get();
    return isRow(row) ? integer(row as Row, name) : 0;
  });
  return free * size;
}
