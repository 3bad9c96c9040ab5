import { randomUUID } from "node:crypto";
import { lstatSync, mkdirSync } from "node:fs";
import { link, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AppError, type ErrorCode } from "../core/errors.ts";

/**
 * Writes a file so that after a crash or a power loss it is there whole or not at all; an older
 * file of that path is replaced. If the body throws, nothing is kept and its error is passed on.
 * Throws AppError, as `diskError` has it, where the disk refuses.
 */
export async function writeFileDurably(path: string, body: Body): Promise<void> {
  await writeDraft(path, body, (draft) => rename(draft, path));
}

/**
 * As writeFileDurably, but an older file of that path stays as it is: of several writers at once,
 * the first wins.
 */
export async function createFileDurably(path: string, body: Body): Promise<void> {
  await writeDraft(path, body, (draft) =>
    link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    }),
  );
}

type Body = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/**
 * The draft lies in the file's own folder: from another file system it could not take the file's
 * name in one step.
 */
async function writeDraft(
  path: string,
  body: Body,
  takeName: (draft: string) => Promise<void>,
): Promise<void> {
  const folder = dirname(path);
  const draft = `${path}.${randomUUID()}.draft`;
  try {
    makeFolder(folder);
    const file = await open(draft, "wx", 0o600);
    try {
      try {
        for await (const chunk of body) await file.writeFile(chunk);
        await file.sync();
      } finally {
        await file.close();
      }
      await takeName(draft);
    } finally {
      await rm(draft, { force: true });
    }
    await syncFolder(folder);
  } catch (error) {
    throw diskError(error, folder);
  }
}

/**
 * Makes a folder and those above it. Node's own recursive mkdir never returns for some paths that
 * cannot be made, such as /proc/x, so this goes from the top down.
 */
export function makeFolder(folder: string, mode = 0o700): void {
  if (lstatSync(folder, { throwIfNoEntry: false })) return;
  if (folder !== dirname(folder)) makeFolder(dirname(folder), mode);
  try {
    mkdirSync(folder, { mode });
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
}

/** Removes drafts, called PREFIX<pid>.draft, of processes that were killed. */
export async function removeDrafts(folder: string, prefix: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const pid = name.startsWith(prefix) && /^(\d+)\.draft$/.exec(name.slice(prefix.length))?.[1];
    if (pid && !isRunning(Number(pid)))
      await rm(join(folder, name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/**
 * An error of the file system or of SQLite as what it means to whoever runs the service: AppError
 * STORE_UNAVAILABLE where the disk is full, read-only or broken, INTERNAL for the rest; any other
 * error unchanged.
 */
export function diskError(error: unknown, path: string): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (typeof code !== "string") return error;
  const known = meanings.find(({ codes }) => codes.test(code));
  return known
    ? new AppError(known.code ?? "INTERNAL", `${known.message} ${path} (${code}).`, {
        fix: known.fix,
        cause: error,
      })
    : error;
}

/** A database that cannot be read (AppError INTERNAL). */
export function damaged(path: string, reason: string, cause?: unknown): AppError {
  return new AppError("INTERNAL", `The database ${path} is damaged: ${reason}.`, {
    fix: restoreIt,
    cause,
  });
}

const restoreIt =
  "Stop the service and put a backup in its place: `vedere restore BACKUP --data DIR --force` moves what is there aside. Without a backup, move the file away with its -wal and -shm; the service then starts empty.";

const meanings: readonly {
  readonly codes: RegExp;
  readonly code?: ErrorCode;
  readonly message: string;
  readonly fix: string;
}[] = [
  {
    codes: /^(ENOSPC|EDQUOT|EFBIG|SQLITE_FULL)$/,
    code: "STORE_UNAVAILABLE",
    message: "The disk is full at",
    fix: "Free some space there, or choose another folder with VEDERE_DATA.",
  },
  {
    codes: /^(EACCES|EPERM|EROFS|SQLITE_READONLY(_.*)?|SQLITE_CANTOPEN(_.*)?|SQLITE_PERM)$/,
    code: "STORE_UNAVAILABLE",
    message: "This process may not write to",
    fix: "Give its user write permission there and see that the file system is not read-only, or choose another folder with VEDERE_DATA.",
  },
  {
    codes: /^(SQLITE_NOTADB|SQLITE_CORRUPT(_.*)?)$/,
    message: "This is no database of Vedere, or it is damaged:",
    fix: restoreIt,
  },
  {
    codes: /^(SQLITE_BUSY(_.*)?|SQLITE_LOCKED(_.*)?|SQLITE_PROTOCOL)$/,
    message: "Another program holds a lock on",
    fix: "End the program that has the file open, such as a SQLite shell or a copy in progress. The folder must lie on a disk of this machine, not on a network share.",
  },
  {
    codes: /^(EIO|SQLITE_IOERR(_.*)?)$/,
    code: "STORE_UNAVAILABLE",
    message: "The disk failed while reading or writing",
    fix: "Look for disk errors in the system's log and see that the folder is still mounted on a disk of this machine. Then start again; if it stays, restore a backup with `vedere restore`.",
  },
  {
    codes: /^(ENOENT|ENOTDIR|EISDIR|ELOOP|ENAMETOOLONG)$/,
    message: "There is no such file or folder, and none can be made:",
    fix: "Mount or restore the data folder, or choose another with VEDERE_DATA.",
  },
  {
    codes: /^(EMFILE|ENFILE)$/,
    message: "Too many files are open at",
    fix: "Raise the limit of open files (`ulimit -n`) of this process.",
  },
];

/** A rename is durable once its folder is; Windows cannot open folders and needs no such call. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
