import { existsSync } from "node:fs";
import { lstat, opendir } from "node:fs/promises";
import { basename, join } from "node:path";
import type { ModelInfo } from "../core/ports.ts";
import type { Counted, Patience, StorageGroup, StorageReport } from "./storage-report.ts";

/** Measured by the database: their files are one for each record. */
const recorded = ["images", "uploads"];
const database = ["vedere.db", "vedere.db-wal", "vedere.db-shm"];

/**
 * What lies in a data folder beside the database and the files that it names, which are looked
 * through for drafts by their names alone.
 */
export async function measureFolder(
  dataDir: string,
  {
    models,
    hasTime,
  }: {
    readonly models: readonly Pick<ModelInfo, "id" | "revision" | "folder">[];
    readonly hasTime: Patience;
  },
): Promise<Pick<StorageReport, "drafts" | "models" | "backups" | "otherBytes">> {
  const names = new Map(models.map(({ id, revision, folder }) => [folder, `${id}@${revision}`]));
  const drafts: string[] = [];
  const found = { models: [] as StorageGroup[], backups: [] as StorageGroup[], otherBytes: 0 };
  for (const name of await namesIn(dataDir)) {
    const path = join(dataDir, name);
    if (database.includes(name)) continue;
    if (isDraft(name)) drafts.push(path);
    else if (recorded.includes(name)) drafts.push(...(await draftsBelow(path, hasTime)));
    else if (name === "models") {
      for (const model of await namesIn(path)) {
        const folder = join(path, model);
        if (isDraft(model)) drafts.push(folder);
        else
          found.models.push({
            name: names.get(folder) ?? model,
            bytes: await bytesBelow(folder, hasTime),
          });
      }
    } else if (existsSync(join(path, "vedere.db")))
      found.backups.push({ name, bytes: await bytesBelow(path, hasTime) });
    else found.otherBytes += await bytesBelow(path, hasTime);
  }
  return { drafts: await sizeOfAll(drafts, hasTime), ...found };
}

/** Files and folders that take their name when they are whole. */
function isDraft(name: string): boolean {
  return name.endsWith(".draft");
}

async function draftsBelow(folder: string, hasTime: Patience): Promise<string[]> {
  const found: string[] = [];
  for await (const path of filesBelow(folder, hasTime))
    if (isDraft(basename(path))) found.push(path);
  return found;
}

async function sizeOfAll(paths: readonly string[], hasTime: Patience): Promise<Counted> {
  let bytes = 0;
  for (const path of paths) bytes += await bytesBelow(path, hasTime);
  return { count: paths.length, bytes };
}

async function bytesBelow(path: string, hasTime: Patience): Promise<number> {
  let bytes = 0;
  for await (const file of filesBelow(path, hasTime)) bytes += await sizeOf(file);
  return bytes;
}

/**
 * The paths of files in a folder and those in it, or of the file itself; none for what has gone
 * meanwhile.
 */
async function* filesBelow(path: string, hasTime: Patience): AsyncGenerator<string> {
  const folders = [path];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const entries = await opendir(folder).catch(unlessGone);
    if (entries === null) yield folder;
    for await (const entry of entries ?? []) {
      if (!hasTime()) return;
      const inside = join(folder, entry.name);
      if (entry.isDirectory()) folders.push(inside);
      else yield inside;
    }
  }
}

async function namesIn(folder: string): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of (await opendir(folder).catch(unlessGone)) ?? []) names.push(entry.name);
  return names.sort();
}

/** Of the file itself, not of what a link leads to. */
async function sizeOf(file: string): Promise<number> {
  return (await lstat(file).catch(unlessGone))?.size ?? 0;
}

function unlessGone(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
  throw error;
}
