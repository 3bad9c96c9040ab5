import { existsSync } from "node:fs";
import { readdir, rename, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { AppError } from "../core/errors.ts";
import { type BackupManifest, readBackupManifest } from "./backup-manifest.ts";
import { copyFile, MissingFile } from "./copy-file.ts";
import { diskError, makeFolder, removeDrafts, syncFolder } from "./disk.ts";
import { databaseIn, hasData, prepareFolder } from "./embedded.ts";
import { connectTo } from "./sqlite.ts";
import { migrations } from "./sqlite-schema.ts";

export interface Restored {
  readonly dataDir: string;
  readonly manifest: BackupManifest;
  /** Where what was there lies now; null if nothing was. */
  readonly formerly: string | null;
}

/**
 * Puts a backup into a data folder. All files are copied beside and compared with the manifest
 * before anything of the folder is touched; the database takes its place last. With `force`, what
 * is there is moved into a folder of its own inside (the folder itself may be a mount). Throws
 * AppError INVALID: no backup, a file of it missing or changed, a newer release's, the folder not
 * empty, or a service at work on it; INTERNAL from the disk.
 */
export async function restore(given: {
  backup: string;
  dataDir: string;
  force: boolean;
  now: number;
}): Promise<Restored> {
  const [backup, dataDir] = [resolve(given.backup), resolve(given.dataDir)];
  const manifest = await readBackupManifest(backup);
  if (manifest.schemaVersion > migrations.length) {
    throw new AppError("INVALID", `Release ${manifest.version} made ${backup}, and it is newer.`, {
      fix: `Install Vedere ${manifest.version} or later, and restore it with that.`,
    });
  }
  prepareFolder(dataDir);
  const draft = join(dataDir, `restore.${process.pid}.draft`);
  try {
    await removeDrafts(dataDir, "restore.");
    const occupied = await occupants(dataDir, manifest);
    if (occupied.length > 0 && !given.force) throw notEmpty(dataDir);
    requireIdle(dataDir);
    makeFolder(draft);
    await copyVerified(backup, draft, manifest);
    const formerly = occupied.length > 0 ? await moveAside(dataDir, occupied, given.now) : null;
    const names = (await readdir(draft)).filter((name) => name !== "vedere.db");
    for (const name of [...names, "vedere.db"])
      await rename(join(draft, name), join(dataDir, name));
    await syncFolder(dataDir);
    return { dataDir, manifest, formerly };
  } catch (error) {
    throw diskError(error, dataDir);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** What would be in the way. Models stay if the backup has none. */
async function occupants(dataDir: string, { files }: BackupManifest): Promise<string[]> {
  const hasModels = files.some(({ path }) => path.startsWith("models/"));
  return (await readdir(dataDir)).filter(
    (name) =>
      name !== "lost+found" &&
      !name.startsWith("before-restore-") &&
      !name.endsWith(".draft") &&
      (name !== "models" || hasModels),
  );
}

function notEmpty(dataDir: string): AppError {
  return new AppError("INVALID", `The data folder ${dataDir} is not empty.`, {
    fix: "Name another folder with --data, or add --force: what is there is then moved aside, not deleted.",
  });
}

/**
 * A database leaves write-ahead logging only while no other connection is open, so this finds every
 * process that has it open, and tidies up otherwise
 * (https://sqlite.org/pragma.html#pragma_journal_mode). A file that is no sound database any more
 * cannot be asked.
 */
function requireIdle(dataDir: string): void {
  if (!hasData(dataDir)) return;
  const db = connectTo(databaseIn(dataDir));
  try {
    db.exec("PRAGMA busy_timeout = 200");
    db.exec("PRAGMA journal_mode = DELETE");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (!/^SQLITE_(BUSY|LOCKED)/.test(code)) return;
    throw new AppError("INVALID", `A process works on the data folder ${dataDir}.`, {
      fix: "Stop `vedere start`, `vedere worker` and `vedere deliver` on it first.",
    });
  } finally {
    db.close();
  }
}

/**
 * Throws AppError INVALID with all files that are missing or changed (ten are named), and copies
 * the others.
 */
async function copyVerified(backup: string, draft: string, { files }: BackupManifest) {
  const faults: string[] = [];
  for (const file of files) {
    try {
      const copied = await copyFile(join(backup, file.path), join(draft, file.path));
      if (copied.sha256 !== file.sha256) faults.push(`${file.path} has another sha256`);
    } catch (error) {
      if (!(error instanceof MissingFile)) throw error;
      faults.push(`${file.path} is missing`);
    }
  }
  if (faults.length === 0) return;
  const shown = faults.slice(0, 10);
  const more = faults.length > 10 ? [`and ${faults.length - 10} more`] : [];
  throw new AppError(
    "INVALID",
    [`The backup ${backup} is not whole; nothing was restored:`, ...shown, ...more].join("\n  "),
    { fix: "Restore another backup, or fetch this one again from where it was kept." },
  );
}

async function moveAside(dataDir: string, names: string[], now: number): Promise<string> {
  const time = new Date(now).toISOString().replaceAll(/[-:]|\.\d+/g, "");
  let folder = join(dataDir, `before-restore-${time}`);
  for (let i = 2; existsSync(folder); i += 1) folder = join(dataDir, `before-restore-${time}-${i}`);
  makeFolder(folder);
  for (const name of names) await rename(join(dataDir, name), join(folder, name));
  await syncFolder(dataDir);
  return folder;
}
