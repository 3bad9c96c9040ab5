import { chargesOf } from "../core/charge.ts";
import type { Runs } from "../core/ports.ts";
import { eraseAtOf, type Run, type RunStatus } from "../core/run.ts";
import { eventOf } from "../core/webhook.ts";
import type { Bell } from "./bell.ts";
import { cursorOf, placeBehind } from "./cursor.ts";
import { integer, type Row, type Sqlite, text } from "./sqlite.ts";
import { readLedger, readUsage, writeCharge } from "./sqlite-ledger.ts";
import { takeImage } from "./sqlite-removal.ts";
import { putInOutbox, webhooksTopic } from "./sqlite-webhooks.ts";

/** Runs in SQLite: the record as JSON, beside it the columns that are searched. */
export function sqliteRuns(sqlite: Sqlite, bell: Bell): Runs {
  const insert = (run: Run, idempotency: { key: string; inputHash: string } | null) =>
    sqlite.run(
      `INSERT INTO runs (tenant_id, id, version, status, created_at, expires_at, idempotency_key, input_hash, data)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      run.tenantId,
      run.id,
      run.version,
      run.status,
      run.createdAt,
      run.expiresAt,
      idempotency?.key ?? null,
      idempotency?.inputHash ?? null,
      JSON.stringify(run),
    );

  const update = (run: Run) =>
    sqlite.run(
      `UPDATE runs SET version = ?, status = ?, data = ?, erase_at = ?
       WHERE tenant_id = ? AND id = ? AND version = ?`,
      ...[run.version, run.status, JSON.stringify(run), eraseAtOf(run)],
      ...[run.tenantId, run.id, run.version - 1],
    ) > 0;

  const findByKey = (tenantId: string, key: string) => {
    const row = sqlite.first(
      "SELECT input_hash, data FROM runs WHERE tenant_id = ? AND idempotency_key = ?",
      tenantId,
      key,
    );
    return row && { run: runIn(row), inputHash: text(row, "input_hash") };
  };

  const newest = (tenantId: string, { before, max }: Page) =>
    sqlite.all(
      `SELECT data FROM runs WHERE tenant_id = ? AND (created_at, id) < (?, ?)
       ORDER BY created_at DESC, id DESC LIMIT ?`,
      ...[tenantId, before.createdAt, before.id, max],
    );

  /** A page of each status, from its own part of the index; of these the newest, read whole. */
  const newestIn = (tenantId: string, statuses: readonly RunStatus[], { before, max }: Page) =>
    [...new Set(statuses)]
      .flatMap((status) =>
        sqlite.all(
          `SELECT created_at, id FROM runs
           WHERE tenant_id = ? AND status = ? AND (created_at, id) < (?, ?)
           ORDER BY created_at DESC, id DESC LIMIT ?`,
          ...[tenantId, status, before.createdAt, before.id, max],
        ),
      )
      .map((row) => ({ createdAt: integer(row, "created_at"), id: text(row, "id") }))
      .sort(
        (a, b) => b.createdAt - a.createdAt || Buffer.compare(Buffer.from(b.id), Buffer.from(a.id)),
      )
      .slice(0, max)
      .flatMap(({ id }) =>
        sqlite.all("SELECT data FROM runs WHERE tenant_id = ? AND id = ?", tenantId, id),
      );

  return {
    async create(run, idempotency) {
      return sqlite.write(() => {
        const earlier = idempotency && findByKey(run.tenantId, idempotency.key);
        if (!earlier) {
          if (!takeImage(sqlite, run)) return { outcome: "imageGone", run };
          insert(run, idempotency);
          return { outcome: "created", run };
        }
        return {
          outcome: earlier.inputHash === idempotency.inputHash ? "replayed" : "mismatch",
          run: earlier.run,
        };
      });
    },
    findByKey: async (tenantId, key) => findByKey(tenantId, key),
    async get(tenantId, runId) {
      const row = sqlite.first(
        "SELECT data FROM runs WHERE tenant_id = ? AND id = ?",
        tenantId,
        runId,
      );
      return row && runIn(row);
    },
    async replace(run) {
      const event = eventOf(run);
      const end = () => {
        if (!update(run)) return false;
        for (const each of chargesOf(run)) writeCharge(sqlite, each);
        if (event) putInOutbox(sqlite, event);
        return true;
      };
      const isReplaced = event ? sqlite.write(end) : update(run);
      if (isReplaced) bell.ring(topicOfRun(run.id));
      if (isReplaced && event) bell.ring(webhooksTopic);
      return isReplaced;
    },
    async usage(tenantId, span) {
      return readUsage(sqlite, tenantId, span);
    },
    async ledger(tenantId, page) {
      return readLedger(sqlite, tenantId, page);
    },
    async list(tenantId, { first, after, status }) {
      const page = { before: placeBehind(after), max: first + 1 }; // one more shows if there is another
      const rows = status === null ? newest(tenantId, page) : newestIn(tenantId, status, page);
      return { runs: rows.slice(0, first).map(runIn), hasNextPage: rows.length > first, cursorOf };
    },
    async eraseFrom(tenantId, runId, at) {
      sqlite.run(
        "UPDATE runs SET erase_at = ?1 WHERE tenant_id = ?2 AND id = ?3 AND erase_at > ?1",
        ...[at, tenantId, runId],
      );
    },
    async erasable(by, max) {
      return sqlite
        .all(
          "SELECT tenant_id, id FROM runs WHERE erase_at <= ? ORDER BY erase_at LIMIT ?",
          by,
          max,
        )
        .map((row) => ({ tenantId: text(row, "tenant_id"), id: text(row, "id") }));
    },
    async countUnfinished(tenantId) {
      const row = sqlite.first(
        "SELECT count(*) AS n FROM runs WHERE tenant_id = ? AND status IN ('QUEUED', 'PROCESSING')",
        tenantId,
      );
      return row ? integer(row, "n") : 0;
    },
    async queued(createdBefore, max) {
      const rows = sqlite.all(
        "SELECT data FROM runs WHERE status = 'QUEUED' AND created_at < ? ORDER BY created_at LIMIT ?",
        createdBefore,
        max,
      );
      return rows.map(runIn);
    },
    async overdue(by, max) {
      const rows = sqlite.all(
        "SELECT data FROM runs WHERE status = 'QUEUED' AND expires_at <= ? ORDER BY expires_at LIMIT ?",
        by,
        max,
      );
      return rows.map(runIn);
    },
    async changed(tenantId, runId, version, waitMs, signal) {
      const look = () => {
        const row = sqlite.first(
          "SELECT version FROM runs WHERE tenant_id = ? AND id = ?",
          tenantId,
          runId,
        );
        return row && integer(row, "version") === version ? null : true;
      };
      await bell.wait(topicOfRun(runId), look, { waitMs, signal });
    },
  };
}

interface Page {
  readonly before: { readonly createdAt: number; readonly id: string };
  readonly max: number;
}

/** Rings with every change of a run. */
export function topicOfRun(runId: string): string {
  return `run ${runId}`;
}

/**
 * The record as this program wrote it; its shape is the business of the migrations, not of every
 * read.
 */
function runIn(row: Row): Run {
  const run: Run = JSON.parse(text(row, "data"));
  return run;
}
