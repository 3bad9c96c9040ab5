import Database from "libsql";
import { AppError } from "../core/errors.ts";
import { diskError } from "./disk.ts";
import { migrations } from "./sqlite-schema.ts";

/** How long a statement waits for another process's write before it fails. */
const busyTimeoutMs = 10_000;

/** One row as it was read; `text` and `integer` take its columns out. */
export type Row = Readonly<Record<string, unknown>>;
type Value = string | number | null;

/** A database, reduced to what the adapters do with it. Statements are prepared once; placeholders are `?` or `?1`. */
export interface Sqlite {
  /** How many rows a statement changed. */
  run(sql: string, ...values: Value[]): number;
  first(sql: string, ...values: Value[]): Row | null;
  all(sql: string, ...values: Value[]): Row[];
  /** Runs `work` as one transaction that holds the write lock from its start, so that what it reads stays true until it commits. */
  write<T>(work: () => T): T;
  close(): void;
}

/**
 * Opens a database file, or ":memory:", and brings its tables up to date; any number of processes may do so at once. Throws AppError
 * INTERNAL where the disk is full or read-only, SETTING_INVALID where a newer release wrote the file.
 */
export function openSqlite(path: string): Sqlite {
  const guard = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw diskError(error, path);
    }
  };
  const db = connectTo(path);
  const prepared = new Map<string, Database.Statement<[Value[]]>>();
  const statement = (sql: string) => {
    const known = prepared.get(sql);
    if (known) return known;
    const fresh = db.prepare<[Value[]]>(sql);
    prepared.set(sql, fresh);
    return fresh;
  };
  const sqlite: Sqlite = {
    run: (sql, ...values) => guard(() => statement(sql).run(values).changes),
    first: (sql, ...values) =>
      guard(() => {
        const row = statement(sql).get(values);
        return isRow(row) ? row : null;
      }),
    all: (sql, ...values) => guard(() => statement(sql).all(values).filter(isRow)),
    write: (work) =>
      guard(() => {
        db.exec("BEGIN IMMEDIATE");
        try {
          const result = work();
          db.exec("COMMIT");
          return result;
        } catch (error) {
          if (db.inTransaction) db.exec("ROLLBACK"); // a full disk has rolled back already
          throw error;
        }
      }),
    close: () => db.close(),
  };
  try {
    guard(() => {
      db.exec("PRAGMA journal_mode = WAL");
      // With NORMAL, the last commits before a power loss can be gone: a run whose id a client holds would never have been. FULL costs one
      // fsync a commit, about a millisecond, against the seconds that a run takes.
      db.exec("PRAGMA synchronous = FULL");
    });
    migrate(sqlite, path, (sql) => db.exec(sql));
  } catch (error) {
    db.close();
    throw error;
  }
  return sqlite;
}

/** A text column. */
export function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw new TypeError(`Column ${column} holds no text.`);
  return value;
}

/** An integer column. */
export function integer(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== "number") throw new TypeError(`Column ${column} holds no number.`);
  return value;
}

/** The write lock is taken before the version is read: of several processes that start at once, one migrates and the others find it done. */
function migrate(sqlite: Sqlite, path: string, exec: (sql: string) => void): void {
  sqlite.write(() => {
    const row = sqlite.first("PRAGMA user_version");
    const version = row ? integer(row, "user_version") : 0;
    if (version > migrations.length) {
      const message = `${path} was written by a newer release (its tables have version ${version}, this release knows ${migrations.length}).`;
      throw new AppError("SETTING_INVALID", message, {
        fix: "Install the newer release again, or choose another folder with VEDERE_DATA.",
      });
    }
    if (version === migrations.length) return;
    for (const migration of migrations.slice(version)) exec(migration);
    exec(`PRAGMA user_version = ${migrations.length}`);
  });
}

function connectTo(path: string): Database.Database {
  try {
    return new Database(path, { timeout: busyTimeoutMs });
  } catch (cause) {
    throw new AppError("INTERNAL", `The database ${path} cannot be opened.`, {
      fix: "Give this process's user write permission for the file and its folder, or choose another folder with VEDERE_DATA.",
      cause,
    });
  }
}

function isRow(value: unknown): value is Row {
  return typeof value === "object" && value !== null;
}
