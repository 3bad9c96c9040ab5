import { statSync } from "node:fs";
import Database from "libsql";
import { AppError } from "../core/errors.ts";
import { damaged, diskError } from "./disk.ts";
import { migrations } from "./sqlite-schema.ts";

/** How long a statement waits for another process's write before it fails. */
const busyTimeoutMs = 10_000;

/** One row as it was read; `text` and `integer` take its columns out. */
export type Row = Readonly<Record<string, unknown>>;
type Value = string | number | null;

/**
 * A database, reduced to what the adapters do with it. Statements are prepared once; placeholders
 * are `?` or `?1`.
 */
export interface Sqlite {
  /** How many rows a statement changed. */
  run(sql: string, ...values: Value[]): number;
  first(sql: string, ...values: Value[]): Row | null;
  all(sql: string, ...values: Value[]): Row[];
  /**
   * Runs `work` as one transaction that holds the write lock from its start, so that what it reads
   * stays true until it commits.
   */
  write<T>(work: () => T): T;
  close(): void;
}

/**
 * Marks a file as Vedere's in its header ("VDER"); files of 0.1.0 have 0 there and are known by
 * their tables. https://sqlite.org/pragma.html#pragma_application_id
 */
const applicationId = 0x56444552;

/**
 * Opens a database file, or ":memory:", and brings its tables up to date; any number of processes
 * may do so at once. Throws AppError STORE_UNAVAILABLE if the disk is full or read-only; INTERNAL
 * if the file is damaged, locked or no database; SETTING_INVALID if a newer release or another
 * program wrote the file. A file that is refused stays as it is.
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
      requireOurs(db, path);
      requireWhole(db, path);
      db.exec("PRAGMA journal_mode = WAL");
      // With NORMAL, the last commits before a power loss can be gone: a run whose id a client
      // holds would never have been. FULL costs one fsync a commit, about a millisecond, against
      // the seconds that a run takes.
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

/**
 * The write lock is taken before the version is read: of several processes that start at once, one
 * migrates and the others find it done.
 */
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
    if (sqlite.first("PRAGMA application_id")?.application_id !== applicationId)
      exec(`PRAGMA application_id = ${applicationId}`);
    if (version === migrations.length) return;
    for (const migration of migrations.slice(version)) exec(migration);
    exec(`PRAGMA user_version = ${migrations.length}`);
  });
}

/** A connection that has changed nothing yet. Throws AppError INTERNAL. */
export function connectTo(path: string): Database.Database {
  try {
    return new Database(path, { timeout: busyTimeoutMs });
  } catch (cause) {
    const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
    throw new AppError("INTERNAL", `The database ${path} cannot be opened.`, {
      fix: isFolder
        ? "It is a folder. Move it away, or choose another data folder with VEDERE_DATA."
        : "Give this process's user write permission for the file and its folder, or choose another folder with VEDERE_DATA.",
      cause,
    });
  }
}

/**
 * One statement reads all of it, so that another process that makes the tables meanwhile is seen
 * before or after.
 */
const identity = `SELECT
  (SELECT application_id FROM pragma_application_id) AS application,
  (SELECT user_version FROM pragma_user_version) AS version,
  (SELECT count(*) FROM sqlite_schema) AS entries,
  (SELECT count(*) FROM sqlite_schema WHERE type = 'table'
    AND name IN ('tenants', 'api_keys', 'runs', 'messages', 'images')) AS known`;

/**
 * Throws AppError SETTING_INVALID if another program made the file: its tables must not be mixed
 * with ours.
 */
export function requireOurs(db: Database.Database, path: string): void {
  const row = db.prepare(identity).get();
  if (!isRow(row)) throw new TypeError("A row was expected.");
  const isFresh = integer(row, "version") === 0 && integer(row, "entries") === 0;
  const application = integer(row, "application");
  const isMarked = application === applicationId;
  const isOld = application === 0 && integer(row, "version") > 0 && integer(row, "known") === 5;
  if (isMarked || isOld || (application === 0 && isFresh)) return;
  throw new AppError("SETTING_INVALID", `${path} is a database of another program.`, {
    fix: "Move the file away, or choose another data folder with --data or VEDERE_DATA.",
  });
}

/**
 * Throws AppError INTERNAL if the file is shorter than its header says. While a write-ahead log is
 * there, pages may lie in it alone.
 */
function requireWhole(db: Database.Database, path: string): void {
  const file = statSync(path, { throwIfNoEntry: false });
  if (!file || (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0) return;
  const [pages, size] = ["page_count", "page_size"].map((name) => {
    const row = db.prepare(`PRAGMA ${name}`).get();
    return isRow(row) ? integer(row, name) : 0;
  });
  // A process that starts beside this one may have written meanwhile: the size is read again.
  if (file.size >= (pages ?? 0) * (size ?? 0) || statSync(path).size !== file.size) return;
  throw damaged(path, "its end is missing");
}

/** Whether a value is a row, as the library types its own as unknown. */
export function isRow(value: unknown): value is Row {
  return typeof value === "object" && value !== null;
}
