import type { Audit, AuditEntry, AuditFilter } from "../core/audit.ts";
import { cursorOf, type Place, placeBehind } from "./cursor.ts";
import { diskError } from "./disk.ts";
import { connectTo, type Row, type Sqlite, text } from "./sqlite.ts";

/** The audit log in SQLite; triggers refuse to change or delete an entry. */
export function sqliteAudit(sqlite: Sqlite): Audit {
  return {
    async append(entry) {
      appendEntry(sqlite, entry);
    },
    async list({ first, after, ...filter }) {
      const place = earlierOf(placeBehind(after), filter.to);
      const given = columnsOf(filter);
      const equal = given.map(({ column }) => `${column} = ? AND `).join("");
      const rows = sqlite.all(
        `SELECT data FROM audit_log WHERE ${equal}(at, id) < (?, ?) AND at >= ?
         ORDER BY at DESC, id DESC LIMIT ?`,
        ...given.map(({ value }) => value),
        place.createdAt,
        place.id,
        filter.from ?? 0,
        first + 1, // the one beyond the page tells whether there is another
      );
      return {
        entries: rows.slice(0, first).map(entryIn),
        hasNextPage: rows.length > first,
        cursorOf: ({ at, id }) => cursorOf({ createdAt: at, id }),
      };
    },
  };
}

/**
 * Makes a change and its entry in one transaction; no entry where nothing changed. Gives how many
 * rows changed.
 */
export function changeAudited(
  sqlite: Sqlite,
  change: () => number,
  entry: AuditEntry | undefined,
): number {
  if (!entry) return change();
  return sqlite.write(() => {
    const changed = change();
    if (changed > 0) appendEntry(sqlite, entry);
    return changed;
  });
}

/** Adds an entry; part of a transaction where one is open. */
export function appendEntry(sqlite: Sqlite, entry: AuditEntry): void {
  sqlite.run(insertion, ...valuesOf(entry));
}

const insertion =
  "INSERT INTO audit_log (at, id, tenant_id, key_id, action, subject_id, data) VALUES (?, ?, ?, ?, ?, ?, ?)";

function valuesOf(entry: AuditEntry) {
  const { id, at, action, actor, subject } = entry;
  return [at, id, subject.tenantId, actor.keyId, action, subject.id, JSON.stringify(entry)];
}

/**
 * Adds an entry to a database file without bringing its tables up to date: nothing happens if it is
 * of a release without an audit log. Throws AppError INTERNAL where it cannot be written.
 */
export function appendToDatabase(path: string, entry: AuditEntry): void {
  const db = connectTo(path);
  try {
    const hasLog = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'audit_log'";
    if (db.prepare(hasLog).get()) db.prepare(insertion).run(valuesOf(entry));
  } catch (error) {
    throw diskError(error, path);
  } finally {
    db.close();
  }
}

/**
 * One bound alone is where SQLite begins to read; a second one, it would look for entry by entry.
 */
function earlierOf(place: Place, to: number | null): Place {
  return to !== null && to <= place.createdAt ? { createdAt: to, id: "" } : place;
}

/** Each has an index by age; SQLite takes the best of them. */
function columnsOf({ tenantId, keyId, action, subjectId }: AuditFilter) {
  return [
    { column: "subject_id", value: subjectId },
    { column: "key_id", value: keyId },
    { column: "tenant_id", value: tenantId },
    { column: "action", value: action },
  ].filter((each): each is { column: string; value: NonNullable<typeof each.value> } => {
    return each.value !== null;
  });
}

/** The record as this program wrote it. */
function entryIn(row: Row): AuditEntry {
  const entry: AuditEntry = JSON.parse(text(row, "data"));
  return entry;
}
