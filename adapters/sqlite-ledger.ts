import type { Charge, Usage } from "../core/charge.ts";
import { limits } from "../core/limits.ts";
import type { ChargedRun } from "../core/ports.ts";
import { partsOf, type SpanPart } from "../core/usage-span.ts";
import type { TaskName } from "../schema/task.ts";
import { integer, type Row, type Sqlite, text } from "./sqlite.ts";

/**
 * The ledger in SQLite, a row for each charged task, and its sums by minute, hour, day and month of
 * UTC. A trigger of the table adds each row to its sums, so both are one write, whoever makes it.
 *
 * Rows may be deleted once they are old: no trigger follows, and the sums stay the truth for whole
 * minutes. A span that cuts a minute whose rows are gone misses that piece of a minute, at either
 * end.
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

/**
 * What was used in a span: exactly the sum of the ledger's rows in it, read from as few sums as
 * there can be.
 */
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

/** Rows of the ledger by run, the oldest first. */
export function readLedger(
  sqlite: Sqlite,
  tenantId: string,
  { first, after }: { first: number; after: { at: number; runId: string } | null },
): ChargedRun[] {
  // A run has a row for each task at most; one more row than that shows where the last run ends.
  const rows = sqlite.all(
    `SELECT * FROM charges WHERE tenant_id = ? AND (at, run_id) > (?, ?)
     ORDER BY at, run_id, task LIMIT ?`,
    ...[tenantId, after?.at ?? -1, after?.runId ?? "", first * limits.run.tasksMax + 1],
  );
  const found: (ChargedRun & { readonly charges: Charge[] })[] = [];
  for (const row of rows) {
    const charge = chargeIn(row);
    const last = found.at(-1);
    if (last?.runId === charge.runId) last.charges.push(charge);
    else if (found.length === first) break;
    else found.push({ runId: charge.runId, at: charge.at, charges: [charge] });
  }
  return found;
}

function chargeIn(row: Row): Charge {
  return {
    tenantId: text(row, "tenant_id"),
    runId: text(row, "run_id"),
    task: integer(row, "task"),
    name: text(row, "name") as TaskName, // written above
    at: integer(row, "at"),
    encodings: integer(row, "encodings"),
    tokens: integer(row, "tokens"),
    cost: integer(row, "cost"),
  };
}
