import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { chmod, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { AppError } from "../core/errors.ts";
import { type BackupFile, type BackupManifest, manifestName } from "./backup-manifest.ts";
import { copyFile, MissingFile } from "./copy-file.ts";
import { diskError, makeFolder, removeDrafts, syncFolder, writeFileDurably } from "./disk.ts";
import { databaseIn, hasData } from "./embedded.ts";
import { packageVersion } from "./package-root.ts";
import { connectTo, integer, isRow, type Row, requireOurs, text } from "./sqlite.ts";

export interface Backup {
  readonly folder: string;
  readonly manifest: BackupManifest;
  /**
   * Files that the database names and that are not whole in the data folder: they are not in the
   * backup.
   */
  readonly faults: readonly string[];
}

/**
 * Copies a data folder into a new folder, while services work on it. The database is copied in one
 * read transaction, and writers go on meanwhile; then the images and uploads that the copy names.
 * Their files are there before their records and never change, so the backup is the state of one
 * instant. A folder of this name appears only when all of it is on the disk. Throws AppError
 * INVALID if the folder exists or there is nothing to copy, INTERNAL from the disk.
 */
export async function backUp(given: {
  dataDir: string;
  folder: string;
  models: boolean;
  now: number;
}): Promise<Backup> {
  const [dataDir, folder] = [resolve(given.dataDir), resolve(given.folder)];
  requirePlaces(dataDir, folder);
  const draft = `${folder}.${process.pid}.draft`;
  try {
    makeFolder(dirname(folder));
    await removeDrafts(dirname(folder), `${basename(folder)}.`);
    makeFolder(draft);
    const { manifest, faults } = await fill(draft, { ...given, dataDir });
    const bytes = Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`);
    await writeFileDurably(join(draft, manifestName), [bytes]);
    await rename(draft, folder);
    await syncFolder(dirname(folder));
    return { folder, manifest, faults };
  } catch (error) {
    throw diskError(error, folder);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

function requirePlaces(dataDir: string, folder: string): void {
  if (!hasData(dataDir)) {
    throw new AppError("INVALID", `${dataDir} holds no data of Vedere: vedere.db is missing.`, {
      fix: "Name the data folder with --data or VEDERE_DATA.",
    });
  }
  if (existsSync(folder)) {
    throw new AppError("INVALID", `${folder} exists already.`, {
      fix: "Name a new folder, such as one with the date in its name.",
    });
  }
  if (!relative(dataDir, folder).startsWith("..")) {
    throw new AppError("INVALID", `${folder} lies in the data folder.`, {
      fix: "Name a folder outside of it, on another disk if you can.",
    });
  }
}

async function fill(
  draft: string,
  { dataDir, models, now }: { dataDir: string; models: boolean; now: number },
): Promise<{ manifest: BackupManifest; faults: string[] }> {
  const files: BackupFile[] = [];
  const faults: string[] = [];
  const copy = join(draft, "vedere.db");
  copyDatabase(databaseIn(dataDir), copy);
  const named = readNamed(copy);
  const missing: string[] = [];
  for (const { path, sha256 } of named.files) {
    const copied = await copyIfThere(join(dataDir, path), join(draft, path));
    if (copied?.sha256 === sha256) files.push({ path, ...copied });
    else if (copied === null) missing.push(path);
    else {
      await rm(join(draft, path), { force: true });
      faults.push(`${path} has another sha256 than recorded`);
    }
  }
  // What was deleted since the database was copied has no record any more, and shall have none in
  // the copy.
  const stillNamed = new Set(missing.length > 0 ? pathsIn(databaseIn(dataDir)) : []);
  for (const path of missing) {
    if (stillNamed.has(path)) faults.push(`${path} is missing`);
    else forget(copy, path);
  }
  const beside = [
    "secret.key",
    "local.key",
    ...(models ? await filesBelow(dataDir, "models") : []),
  ];
  for (const path of beside) {
    const copied = await copyIfThere(join(dataDir, path), join(draft, path));
    if (copied) files.push({ path, ...copied });
  }
  const { schemaVersion, runs, images } = readNamed(copy);
  await chmod(copy, 0o600);
  await syncFile(copy);
  files.push({ path: "vedere.db", ...(await sizeAndHash(copy)) });
  const createdAt = new Date(now).toISOString();
  const version = packageVersion();
  return {
    manifest: { format: 1, version, createdAt, schemaVersion, runs, images, files },
    faults,
  };
}

/** In one read transaction: https://sqlite.org/lang_vacuum.html#vacuuminto */
function copyDatabase(from: string, to: string): void {
  const db = connectTo(from);
  try {
    requireOurs(db, from);
    db.prepare("VACUUM INTO ?").run(to);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    throw diskError(error, /FULL|IOERR|CANTOPEN|READONLY/.test(code) ? dirname(to) : from);
  } finally {
    db.close();
  }
}

function readAll(file: string, sql: string): Row[] {
  const db = connectTo(file);
  try {
    return db.prepare(sql).all().filter(isRow);
  } catch (error) {
    throw diskError(error, file);
  } finally {
    db.close();
  }
}

/** Images, and uploads that have come. The path of an image is fileImages' own. */
const namedFiles = `
  SELECT coalesce(file, 'images/' || tenant_id || '/' || substr(data ->> 'sha256', 1, 2) || '/' || id)
    AS path, data ->> 'sha256' AS sha256 FROM images
  UNION ALL
  SELECT 'uploads/' || id, sha256 FROM uploads WHERE received_at IS NOT NULL`;

function readNamed(copy: string) {
  const [counts] = readAll(
    copy,
    `SELECT (SELECT user_version FROM pragma_user_version) AS version,
      (SELECT count(*) FROM runs) AS runs, (SELECT count(*) FROM images) AS images`,
  );
  if (!counts) throw new TypeError("A row was expected.");
  return {
    schemaVersion: integer(counts, "version"),
    runs: integer(counts, "runs"),
    images: integer(counts, "images"),
    files: readAll(copy, namedFiles).map((row) => ({
      path: text(row, "path"),
      sha256: text(row, "sha256"),
    })),
  };
}

function pathsIn(database: string): string[] {
  return readAll(database, namedFiles).map((row) => text(row, "path"));
}

function forget(copy: string, path: string): void {
  const [kind, ...rest] = path.split("/");
  const db = connectTo(copy);
  try {
    if (kind === "images")
      db.prepare("DELETE FROM images WHERE tenant_id = ? AND id = ?").run(
        rest[0],
        rest.at(-1)?.split(".")[0],
      );
    else db.prepare("DELETE FROM uploads WHERE id = ?").run(rest[0]);
  } finally {
    db.close();
  }
}

async function copyIfThere(from: string, to: string) {
  try {
    return await copyFile(from, to);
  } catch (error) {
    if (error instanceof MissingFile) return null;
    throw error;
  }
}

async function filesBelow(dataDir: string, folder: string): Promise<string[]> {
  if (!existsSync(join(dataDir, folder))) return [];
  const entries = await readdir(join(dataDir, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(dataDir, join(entry.parentPath, entry.name)));
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, "r+");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

async function sizeAndHash(path: string): Promise<{ byteSize: number; sha256: string }> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return { byteSize: (await stat(path)).size, sha256: hash.digest("hex") };
}
