import { connectTo, isRow, requireOurs } from "./sqlite.ts";

/**
 * What SQLite finds to be wrong in a database of ours, at most five things; empty if it is sound.
 * Reads all of it. Throws as `openSqlite`.
 */
export function databaseFaults(path: string): string[] {
  const db = connectTo(path);
  try {
    requireOurs(db, path);
    const rows = db.prepare("PRAGMA quick_check(5)").all();
    return rows
      .filter(isRow)
      .flatMap((row) => Object.values(row).map(String))
      .filter((line) => line !== "ok");
  } finally {
    db.close();
  }
}
