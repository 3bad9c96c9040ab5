import { readFile } from "node:fs/promises";
import { isAbsolute, join, normalize } from "node:path";
import { AppError } from "../core/errors.ts";
import { diskError } from "./disk.ts";

/** What a backup holds: DIR/manifest.json, written last. */
export interface BackupManifest {
  /** Of this file; a later form has another number. */
  readonly format: 1;
  /** The release of Vedere that made the backup. */
  readonly version: string;
  readonly createdAt: string;
  /** Steps of adapters/sqlite-schema.ts that the database has taken. */
  readonly schemaVersion: number;
  readonly runs: number;
  readonly images: number;
  readonly files: readonly BackupFile[];
}

export interface BackupFile {
  /** Relative to the backup, with slashes. */
  readonly path: string;
  readonly byteSize: number;
  readonly sha256: string;
}

export const manifestName = "manifest.json";

/**
 * Reads a backup's manifest. Throws AppError INVALID if the folder is no backup, or one of a later
 * release.
 */
export async function readBackupManifest(folder: string): Promise<BackupManifest> {
  const file = join(folder, manifestName);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "ENOENT" && code !== "ENOTDIR") throw diskError(error, file);
    throw notABackup(folder, `it has no ${manifestName}`);
  }
  let manifest: unknown;
  try {
    manifest = JSON.parse(text);
  } catch {
    throw notABackup(folder, `its ${manifestName} is no JSON`);
  }
  if (typeof manifest !== "object" || manifest === null || !("format" in manifest))
    throw notABackup(folder, `its ${manifestName} has no format`);
  if (manifest.format !== 1) {
    throw new AppError("INVALID", `A newer release made the backup ${folder}.`, {
      fix: "Restore it with the release that its manifest.json names, or a later one.",
    });
  }
  if (!isManifest(manifest)) throw notABackup(folder, `its ${manifestName} is incomplete`);
  return manifest;
}

function isManifest(given: object): given is BackupManifest {
  const { version, createdAt, schemaVersion, runs, images, files } = given as Partial<
    Record<keyof BackupManifest, unknown>
  >;
  return (
    typeof version === "string" &&
    typeof createdAt === "string" &&
    [schemaVersion, runs, images].every(Number.isSafeInteger) &&
    Array.isArray(files) &&
    files.every(isFile) &&
    files.some((file) => file.path === "vedere.db")
  );
}

/**
 * A path that leads out of the backup is refused: a restore must write into the data folder only.
 */
function isFile(given: unknown): given is BackupFile {
  if (typeof given !== "object" || given === null) return false;
  const { path, byteSize, sha256 } = given as Partial<Record<keyof BackupFile, unknown>>;
  return (
    typeof path === "string" &&
    path !== "" &&
    !isAbsolute(path) &&
    normalize(path) === path &&
    !path.startsWith("..") &&
    Number.isSafeInteger(byteSize) &&
    typeof sha256 === "string" &&
    /^[0-9a-f]{64}$/.test(sha256)
  );
}

function notABackup(folder: string, reason: string): AppError {
  return new AppError("INVALID", `${folder} is no backup of Vedere: ${reason}.`, {
    fix: "Name a folder that `vedere backup` made. A backup that was cut off is called *.draft.",
  });
}
