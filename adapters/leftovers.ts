import { opendir, rm, stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import type { Clock } from "../core/ports.ts";
import { dayMs } from "../core/retention.ts";
import { imageFileIn } from "./image-file.ts";
import type { Sqlite } from "./sqlite.ts";

/**
 * Deletes what processes that were killed left in `images` and `uploads`: drafts, and files that no
 * record names, a day after they were written. Looks at its first call and then once a day; a file
 * is written and recorded within a day.
 */
export function openLeftovers(sqlite: Sqlite, clock: Clock, folder: string): () => Promise<number> {
  let lookedAt = Number.NEGATIVE_INFINITY;
  const isRecorded = (path: string): boolean => {
    const [kind, owner = "", ...rest] = path.split(sep);
    if (kind === "uploads")
      return sqlite.first("SELECT 1 FROM uploads WHERE id = ?", owner) !== null;
    const [id = ""] = (rest.at(-1) ?? "").split(".");
    const row = sqlite.first(
      "SELECT data, file FROM images WHERE tenant_id = ? AND id = ?",
      owner,
      id,
    );
    return row !== null && imageFileIn(owner, row) === path;
  };

  return async () => {
    const now = clock.now();
    if (now - lookedAt < dayMs) return 0;
    lookedAt = now;
    let removed = 0;
    for (const kind of ["images", "uploads"]) {
      for await (const path of filesBelow(join(folder, kind))) {
        const name = relative(folder, path);
        if (isRecorded(name)) continue;
        const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: now })); // gone meanwhile
        if (now - mtimeMs < dayMs) continue;
        await rm(path, { force: true });
        removed += 1;
      }
    }
    return removed;
  };
}

/** Read one after another, so that a folder of any size takes little memory. */
async function* filesBelow(folder: string): AsyncGenerator<string> {
  const entries = await opendir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (!entries) return;
  for await (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile()) yield path;
  }
}
