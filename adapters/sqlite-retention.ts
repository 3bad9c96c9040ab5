import { rm } from "node:fs/promises";
import { join } from "node:path";
import { addErased, type Erased, nothingErased } from "../core/erased.ts";
import type { Clock } from "../core/ports.ts";
import { dayMs, type Retention } from "../core/retention.ts";
import type { Bell } from "./bell.ts";
import { openLeftovers } from "./leftovers.ts";
import { integer, type Row, type Sqlite, text } from "./sqlite.ts";
import { appendEntry } from "./sqlite-audit.ts";
import { removeFile, removeImage, removeRun } from "./sqlite-removal.ts";
import { topicOfRun } from "./sqlite-runs.ts";
import { eraseFromTenant } from "./sqlite-tenant-erasure.ts";

/** A transaction takes no further record after this time, and none beyond the count. */
const stepMsMax = 5;
const stepRowsMax = 100;
/** No request takes longer between finding an image and storing its run. */
const removedKeptMs = dayMs;

/**
 * Deletes from SQLite and the data folder: records first, in short transactions, then their files.
 */
export function sqliteRetention(
  { sqlite, bell }: { sqlite: Sqlite; bell: Bell },
  clock: Clock,
  folder: string,
): Retention {
  const leftovers = openLeftovers(sqlite, clock, folder);

  /** One transaction over some of the rows; each is removed whole. */
  const step = (rows: readonly Row[], remove: (row: Row) => Erased | null): Erased => {
    let erased = nothingErased;
    if (rows.length === 0) return erased;
    return sqlite.write(() => {
      const begun = performance.now();
      for (const row of rows) {
        erased = addErased(erased, remove(row) ?? nothingErased);
        if (performance.now() - begun > stepMsMax) break;
      }
      return erased;
    });
  };

  /** Files whose records are gone. */
  const removeFiles = async (): Promise<void> => {
    for (;;) {
      const rows = sqlite.all("SELECT path FROM removed_files LIMIT ?", stepRowsMax);
      for (const row of rows) {
        await rm(join(folder, text(row, "path")), { force: true });
      }
      step(rows, (row) => {
        sqlite.run("DELETE FROM removed_files WHERE path = ?", text(row, "path"));
        return null;
      });
      if (rows.length < stepRowsMax) return;
    }
  };

  const runs = (tenantId: string, before: number): Erased =>
    step(
      sqlite.all(
        "SELECT id FROM runs WHERE tenant_id = ? AND finished_at < ? ORDER BY finished_at LIMIT ?",
        ...[tenantId, before, stepRowsMax],
      ),
      (row) => removeRun(sqlite, { tenantId, runId: text(row, "id"), now: clock.now() }),
    );

  /** Of runs that stay, and of what is no run's. What is still to be sent is kept. */
  const deliveries = (tenantId: string, before: number): Erased => ({
    ...nothingErased,
    deliveries: sqlite.run(
      `DELETE FROM webhook_deliveries WHERE rowid IN (SELECT rowid FROM webhook_deliveries
         WHERE tenant_id = ? AND created_at < ? AND status <> 'PENDING' LIMIT ?)`,
      ...[tenantId, before, stepRowsMax],
    ),
  });

  /** Whole minutes of the ledger: a span that cuts one is read from its rows. */
  const charges = (tenantId: string, before: number): Erased =>
    step(
      sqlite.all(
        "SELECT run_id, task FROM charges WHERE tenant_id = ? AND at < ? ORDER BY at LIMIT ?",
        ...[tenantId, before - (before % 60_000), stepRowsMax],
      ),
      (row) => ({
        ...nothingErased,
        charges: sqlite.run(
          "DELETE FROM charges WHERE tenant_id = ? AND run_id = ? AND task = ?",
          ...[tenantId, text(row, "run_id"), integer(row, "task")],
        ),
      }),
    );

  const deadLetters = (tenantId: string, before: number): Erased => ({
    ...nothingErased,
    deadLetters: sqlite.run(
      `DELETE FROM dead_letters WHERE id IN
         (SELECT id FROM dead_letters WHERE tenant_id = ? AND buried_at < ? LIMIT ?)`,
      ...[tenantId, before, stepRowsMax],
    ),
  });

  const unusedImages = (before: number): Erased =>
    step(
      sqlite.all(
        "SELECT tenant_id, id FROM images WHERE unused_since < ? LIMIT ?",
        before,
        stepRowsMax,
      ),
      (row) => ({
        ...nothingErased,
        images: removeImage(sqlite, {
          tenantId: text(row, "tenant_id"),
          imageId: text(row, "id"),
          now: clock.now(),
        }),
      }),
    );

  const uploads = (expiredBefore: number): Erased =>
    step(
      sqlite.all("SELECT id FROM uploads WHERE expires_at < ? LIMIT ?", expiredBefore, stepRowsMax),
      (row) => {
        removeFile(sqlite, join("uploads", text(row, "id")));
        sqlite.run("DELETE FROM uploads WHERE id = ?", text(row, "id"));
        return { ...nothingErased, uploads: 1 };
      },
    );

  return {
    async removeRun(tenantId, runId, entry) {
      const outcome = sqlite.write(() => {
        const row = sqlite.first(
          "SELECT finished_at FROM runs WHERE tenant_id = ? AND id = ?",
          tenantId,
          runId,
        );
        if (!row) return "missing";
        if (row.finished_at === null) return "unfinished";
        removeRun(sqlite, { tenantId, runId, now: clock.now() });
        if (entry) appendEntry(sqlite, entry);
        return "removed";
      });
      if (outcome === "removed") bell.ring(topicOfRun(runId));
      await removeFiles();
      return outcome;
    },
    async removeImage(tenantId, imageId, entry) {
      const outcome = sqlite.write(() => {
        const needed = sqlite.first(
          `SELECT 1 FROM runs WHERE tenant_id = ? AND image_id = ?
           AND status IN ('QUEUED', 'PROCESSING') LIMIT 1`,
          tenantId,
          imageId,
        );
        if (needed) return "needed";
        if (removeImage(sqlite, { tenantId, imageId, now: clock.now() }) === 0) return "missing";
        if (entry) appendEntry(sqlite, entry);
        return "removed";
      });
      await removeFiles();
      return outcome;
    },
    async expire(tenantId, before) {
      const steps = [runs, deliveries, charges, deadLetters];
      let erased = nothingErased;
      for (const one of steps) {
        erased = addErased(erased, one(tenantId, before));
        await nextTurn();
      }
      await removeFiles();
      return erased;
    },
    async eraseTenant(tenantId) {
      const step = { msMax: stepMsMax, rowsMax: stepRowsMax };
      const isLeft = eraseFromTenant(sqlite, { tenantId, now: clock.now() }, step);
      await removeFiles();
      // What is in the folder yet has no record: drafts, and its folders.
      if (!isLeft) await rm(join(folder, "images", tenantId), { recursive: true, force: true });
      return isLeft;
    },
    async tidy() {
      const before = clock.now() - dayMs;
      const erased = addErased(unusedImages(before), uploads(before));
      sqlite.run(
        `DELETE FROM removed_images WHERE (tenant_id, id) IN
           (SELECT tenant_id, id FROM removed_images WHERE at < ? LIMIT ?)`,
        clock.now() - removedKeptMs,
        stepRowsMax,
      );
      await leftovers();
      await removeFiles();
      return erased;
    },
  };
}

/** Other work of this process comes between two transactions. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
