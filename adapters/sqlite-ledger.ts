import type { Charge, Usage } from "../core/charge.ts";
import { partsOf, type SpanPart } from "../core/usage-span.ts";
import { integer, type Row, type Sqlite } from "./sqlite.ts";

/**
 * The ledger in SQLite, a row for each charged task, and its sums by minute, hour, day and month of UTC. A trigger
 * of the table adds each row to its sums, so both are one write, whoever makes it.
 *
 * Rows may be deleted once they are old: no trigger follows, and the sums stay the truth for whole minutes. A span
 * that cuts a minute whose rows are gone misses that piece of a minute, at either end.
 */
export function writeCharge(
  sqlite: Sqlite,
  { tenantId, runId, task, name, at, encodings, tokens, cost }: Charge,
): void {
  sqlite.run(
    `INSERT INTO charges (tenant_id, run_id, task, name, at, encodings, tokens, cost)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    ...[tenantId, runId, task, name, at, encodings, tokens, cost],
  );
}

/** What was used in a span: exactly the sum of the ledger's rows in it, read from as few sums as there can be. */
export function readUsage(
  sqlite: Sqlite,
  tenantId: string,
  span: { readonly from: number; readonly to: number },
): Usage {
  return partsOf(span)
    .map((part) => readPart(sqlite, tenantId, part))
    .reduce<Usage>(
      (sum, row) => ({
        runs: sum.runs + integer(row, "runs"),
        tasks: sum.tasks + integer(row, "tasks"),
        encodings: sum.encodings + integer(row, "encodings"),
        tokens: sum.tokens + integer(row, "tokens"),
        cost: sum.cost + integer(row, "cost"),
      }),
      { runs: 0, tasks: 0, encodings: 0, tokens: 0, cost: 0 },
    );
}

function readPart(sqlite: Sqlite, tenantId: string, { grain, from, to }: SpanPart): Row {
  const row =
    grain === null
      ? sqlite.first(
          `SELECT count(DISTINCT run_id) AS runs, count(*) AS tasks, total(encodings) AS encodings,
           total(tokens) AS tokens, total(cost) AS cost
           FROM charges WHERE tenant_id = ? AND at >= ? AND at < ?`,
          ...[tenantId, from, to],
        )
      : sqlite.first(
          `SELECT total(runs) AS runs, total(tasks) AS tasks, total(encodings) AS encodings,
           total(tokens) AS tokens, total(cost) AS cost
           FROM usage_sums WHERE tenant_id = ? AND grain = ? AND start >= ? AND start < ?`,
          ...[tenantId, grain, from, to],
        );
  if (!row) throw new Error("An aggregate gave no row.");
  return row;
}
