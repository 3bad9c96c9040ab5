import { type Erased, nothingErased } from "../core/erased.ts";
import type { Run } from "../core/run.ts";
import { eventIdOf } from "../core/webhook.ts";
import { imageFileIn } from "./image-file.ts";
import { type Sqlite, text } from "./sqlite.ts";

/**
 * Removes a run with its event, deliveries, dead letters and, if no other run has it, its image;
 * its charges stay. Part of a transaction. Null if there is no such run.
 */
export function removeRun(
  sqlite: Sqlite,
  { tenantId, runId, now }: { tenantId: string; runId: string; now: number },
): Erased | null {
  const row = sqlite.first(
    "DELETE FROM runs WHERE tenant_id = ? AND id = ? RETURNING data ->> '$.image.id' AS image_id",
    tenantId,
    runId,
  );
  if (!row) return null;
  sqlite.run(
    "DELETE FROM webhook_outbox WHERE id = ? AND tenant_id = ?",
    eventIdOf(runId),
    tenantId,
  );
  return {
    ...nothingErased,
    runs: 1,
    deliveries: sqlite.run(
      "DELETE FROM webhook_deliveries WHERE tenant_id = ? AND run_id = ?",
      tenantId,
      runId,
    ),
    deadLetters: sqlite.run(
      "DELETE FROM dead_letters WHERE tenant_id = ? AND run_id = ?",
      tenantId,
      runId,
    ),
    images: removeUnused(sqlite, { tenantId, imageId: text(row, "image_id"), now }),
  };
}

/** Removes an image if no run has it. Part of a transaction. Gives how many were removed. */
function removeUnused(sqlite: Sqlite, image: ImageToRemove): number {
  const other = sqlite.first(
    "SELECT 1 FROM runs WHERE tenant_id = ? AND image_id = ? LIMIT 1",
    image.tenantId,
    image.imageId,
  );
  return other ? 0 : removeImage(sqlite, image);
}

interface ImageToRemove {
  readonly tenantId: string;
  readonly imageId: string;
  readonly now: number;
}

/**
 * Removes an image's record, and hands its file to whoever sweeps. Part of a transaction. Gives how
 * many were removed.
 */
export function removeImage(sqlite: Sqlite, { tenantId, imageId, now }: ImageToRemove): number {
  const row = sqlite.first(
    "DELETE FROM images WHERE tenant_id = ? AND id = ? RETURNING data, file",
    tenantId,
    imageId,
  );
  if (!row) return 0;
  sqlite.run(
    "INSERT OR REPLACE INTO removed_images (tenant_id, id, at) VALUES (?, ?, ?)",
    ...[tenantId, imageId, now],
  );
  removeFile(sqlite, imageFileIn(tenantId, row));
  return 1;
}

/** Part of the transaction that removes the file's record. */
export function removeFile(sqlite: Sqlite, path: string): void {
  sqlite.run("INSERT OR IGNORE INTO removed_files (path) VALUES (?)", path);
}

/**
 * For a run that is about to be stored, in its transaction. False if its image was deleted
 * meanwhile.
 */
export function takeImage(sqlite: Sqlite, { tenantId, image }: Run): boolean {
  const isGone = sqlite.first(
    "SELECT 1 FROM removed_images WHERE tenant_id = ? AND id = ?",
    tenantId,
    image.id,
  );
  if (isGone) return false;
  sqlite.run(
    `UPDATE images SET unused_since = NULL
     WHERE tenant_id = ? AND id = ? AND unused_since IS NOT NULL`,
    tenantId,
    image.id,
  );
  return true;
}
