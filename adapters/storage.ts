import { statSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { resolve } from "node:path";
import { AppError } from "../core/errors.ts";
import type { ModelInfo } from "../core/ports.ts";
import { diskError } from "./disk.ts";
import { databaseIn, hasData } from "./embedded.ts";
import { measureFolder } from "./folder-storage.ts";
import { connectTo, requireOurs } from "./sqlite.ts";
import { countImages, countRuns, countUploads, tenantNames } from "./sqlite-counts.ts";
import { measureTables, unusedBytes } from "./sqlite-storage.ts";
import type { Counted, Patience, StorageReport } from "./storage-report.ts";

/**
 * What a data folder takes, whether services work on it or not. Nothing is written, and writers
 * never wait: statements are short, or end with the time. Throws AppError INVALID if there is no
 * database, INTERNAL from the disk.
 */
export async function measureStorage(given: {
  readonly dataDir: string;
  readonly models: readonly Pick<ModelInfo, "id" | "revision" | "folder">[];
  readonly isByTenant: boolean;
  readonly hasTime: Patience;
}): Promise<StorageReport> {
  const dataDir = resolve(given.dataDir);
  if (!hasData(dataDir)) {
    throw new AppError("INVALID", `${dataDir} holds no data of Vedere: vedere.db is missing.`, {
      fix: "Name the data folder with --data or VEDERE_DATA.",
    });
  }
  try {
    const database = readDatabase(databaseIn(dataDir), given);
    const files = await measureFolder(dataDir, given);
    const { bavail, blocks, bsize } = await statfs(dataDir);
    const { tenants, images, uploads, ...tables } = database;
    return {
      ...{ dataDir, database: tables, images, uploads, ...files, tenants },
      disk: { freeBytes: bavail * bsize, totalBytes: blocks * bsize },
      isComplete: given.hasTime(),
    };
  } catch (error) {
    throw diskError(error, dataDir);
  }
}

function readDatabase(
  path: string,
  { isByTenant, hasTime }: { readonly isByTenant: boolean; readonly hasTime: Patience },
) {
  const db = connectTo(path);
  try {
    requireOurs(db, path);
    db.exec("PRAGMA query_only = ON");
    const images = countImages(db, hasTime);
    const runs = isByTenant ? countRuns(db, hasTime) : new Map<string, Counted>();
    const names = isByTenant ? tenantNames(db) : new Map<string, string>();
    const ids = [...new Set([...names.keys(), ...runs.keys(), ...images.keys()])].sort();
    const none = { count: 0, bytes: 0 };
    return {
      bytes: sizeOf(path),
      walBytes: sizeOf(`${path}-wal`),
      unusedBytes: unusedBytes(db),
      groups: measureTables(db, hasTime),
      images: sumOf([...images.values()]),
      uploads: countUploads(db),
      tenants: isByTenant
        ? ids.map((id) => ({
            ...{ id, name: names.get(id) ?? null },
            ...{ runs: runs.get(id) ?? none, images: images.get(id) ?? none },
          }))
        : null,
    };
  } finally {
    db.exec("PRAGMA query_only = OFF"); // who closes the database last may remove its empty write-ahead log
    db.close();
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function sumOf(parts: readonly Counted[]): Counted {
  return {
    count: parts.reduce((sum, { count }) => sum + count, 0),
    bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}
