import type Database from "libsql";
import { integer, isRow, type Row, text } from "./sqlite.ts";
import type { Counted, Patience } from "./storage-report.ts";

/**
 * Rows that one statement looks at: a few milliseconds, so that no reader holds the write-ahead log
 * back.
 */
const rowsAtOnce = 5_000;

/** A tenant's images, with the bytes of their files, by tenant. */
export function countImages(db: Database.Database, hasTime: Patience): Map<string, Counted> {
  return countByTenant(db, { table: "images", bytes: "data ->> 'byteSize'", hasTime });
}

/** A tenant's runs, with the bytes of their records, by tenant. */
export function countRuns(db: Database.Database, hasTime: Patience): Map<string, Counted> {
  return countByTenant(db, { table: "runs", bytes: "octet_length(data)", hasTime });
}

/** Uploads whose bytes are here. There are few: they are deleted after a day. */
export function countUploads(db: Database.Database): Counted {
  const row: unknown = db
    .prepare(
      "SELECT count(*) AS n, coalesce(sum(byte_size), 0) AS bytes FROM uploads WHERE received_at IS NOT NULL",
    )
    .get();
  return isRow(row) ? { count: integer(row, "n"), bytes: integer(row, "bytes") } : none;
}

/** The names of tenants, by id. */
export function tenantNames(db: Database.Database): Map<string, string> {
  const rows = db.prepare("SELECT id, name FROM tenants").all().filter(isRow);
  return new Map(rows.map((row) => [text(row, "id"), text(row, "name")]));
}

const none: Counted = { count: 0, bytes: 0 };

/** Along the primary key, in steps, each a statement of its own. */
function countByTenant(
  db: Database.Database,
  { table, bytes, hasTime }: { table: "runs" | "images"; bytes: string; hasTime: Patience },
): Map<string, Counted> {
  const step = db.prepare<[string[]]>(
    `SELECT tenant_id, count(*) AS n, coalesce(sum(size), 0) AS bytes, max(id) AS last
     FROM (SELECT tenant_id, id, ${bytes} AS size FROM ${table} WHERE (tenant_id, id) > (?, ?)
       ORDER BY tenant_id, id LIMIT ${rowsAtOnce})
     GROUP BY tenant_id ORDER BY tenant_id`,
  );
  const found = new Map<string, Counted>();
  for (let place = ["", ""]; hasTime(); ) {
    const rows: Row[] = step.all(place).filter(isRow);
    for (const row of rows) {
      const tenantId = text(row, "tenant_id");
      const { count, bytes } = found.get(tenantId) ?? none;
      found.set(tenantId, {
        count: count + integer(row, "n"),
        bytes: bytes + integer(row, "bytes"),
      });
      place = [tenantId, text(row, "last")];
    }
    if (rows.length === 0) break;
  }
  return found;
}
