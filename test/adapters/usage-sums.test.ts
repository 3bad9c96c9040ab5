import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import fc from "fast-check";
import Database from "libsql";
import { expect, onTestFinished, test } from "vitest";
import { packageRoot } from "../../adapters/package-root.ts";
import { openSqlite, type Sqlite } from "../../adapters/sqlite.ts";
import { readUsage, writeCharge } from "../../adapters/sqlite-ledger.ts";
import { migrations } from "../../adapters/sqlite-schema.ts";
import type { Charge, Usage } from "../../core/charge.ts";
import { partsOf } from "../../core/usage-span.ts";

const from = Date.UTC(2024, 1, 27); // beside a leap day
const to = Date.UTC(2025, 3, 2);

/** A run that ended at an instant, often at the edge of a minute, an hour, a day or a month. */
const edges = [60_000, 3_600_000, 86_400_000].map((ms) =>
  fc.integer({ min: Math.ceil(from / ms), max: Math.floor(to / ms) }).map((n) => n * ms),
);
const instant = fc
  .tuple(fc.oneof(fc.integer({ min: from, max: to }), ...edges), fc.constantFrom(-1, 0, 0, 1))
  .map(([at, offset]) => at + offset);
const ended = fc.record({
  at: instant,
  tenantId: fc.constantFrom("ten_1", "ten_2"),
  tasks: fc.integer({ min: 1, max: 3 }),
  tokens: fc.integer({ min: 0, max: 500 }),
});

function chargesOf(
  runs: readonly { at: number; tenantId: string; tasks: number; tokens: number }[],
) {
  return runs.flatMap(({ at, tenantId, tasks, tokens }, i) =>
    Array.from({ length: tasks }, (_, task): Charge => {
      const encodings = task === 0 ? 1 : 0;
      const work = { encodings, tokens, cost: encodings * 100 + 20 + tokens };
      return { tenantId, runId: `run_${i}`, task, name: "CAPTION", at, ...work };
    }),
  );
}

function naive(charges: readonly Charge[], tenantId: string, span: { from: number; to: number }) {
  const inside = charges.filter(
    (charge) => charge.tenantId === tenantId && charge.at >= span.from && charge.at < span.to,
  );
  const sum = (of: (charge: Charge) => number) => inside.reduce((all, each) => all + of(each), 0);
  return {
    runs: new Set(inside.map(({ runId }) => runId)).size,
    tasks: inside.length,
    encodings: sum(({ encodings }) => encodings),
    tokens: sum(({ tokens }) => tokens),
    cost: sum(({ cost }) => cost),
  } satisfies Usage;
}

test("for any span, the sums are exactly the ledger's", () => {
  fc.assert(
    fc.property(
      fc.array(ended, { maxLength: 40 }),
      fc.array(fc.tuple(instant, instant), { minLength: 1, maxLength: 12 }),
      (runs, spans) => {
        const sqlite = openSqlite(":memory:");
        const charges = chargesOf(runs);
        sqlite.write(() => {
          for (const charge of charges) writeCharge(sqlite, charge);
        });
        for (const [from, to] of spans)
          expect(readUsage(sqlite, "ten_1", { from, to })).toEqual(
            naive(charges, "ten_1", { from, to }),
          );
        sqlite.close();
      },
    ),
    { numRuns: 60 },
  );
});

test("the parts of a span lie side by side, are few, and leave less than a minute to the ledger", () => {
  fc.assert(
    fc.property(instant, instant, (from, to) => {
      const parts = partsOf({ from, to });
      expect(parts.length === 0).toBe(from >= to);
      if (from >= to) return;
      expect(parts[0]?.from).toBe(from);
      expect(parts.at(-1)?.to).toBe(to);
      for (const [i, part] of parts.entries()) if (i > 0) expect(part.from).toBe(parts[i - 1]?.to);
      for (const part of parts)
        if (part.grain === null) expect(part.to - part.from).toBeLessThan(60_000);
      expect(parts.length).toBeLessThanOrEqual(9);
    }),
  );
  const farthest = 8_640_000_000_000_000;
  const all = partsOf({ from: -farthest, to: farthest });
  expect([all[0]?.from, all.at(-1)?.to]).toEqual([-farthest, farthest]);
});

test("a ledger of an earlier release is summed when its store is opened", async () => {
  const file = join(await folderForTest(), "vedere.db");
  const before = migrations.findIndex((sql) => sql.includes("CREATE TABLE usage_sums"));
  expect(before).toBeGreaterThan(0);
  const old = new Database(file);
  for (const sql of migrations.slice(0, before)) old.exec(sql);
  old.exec(`PRAGMA user_version = ${before}`);
  const runs = fc.sample(ended, { numRuns: 300, seed: 7 });
  const charges = chargesOf(runs);
  const insert = old.prepare("INSERT INTO charges VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
  for (const { tenantId, runId, task, name, at, encodings, tokens, cost } of charges)
    insert.run([tenantId, runId, task, name, at, encodings, tokens, cost]);
  old.close();
  const sqlite = openSqlite(file);
  for (const tenantId of ["ten_1", "ten_2"])
    for (const span of [
      { from: 0, to: 8_640_000_000_000_000 },
      ...fc.sample(fc.record({ from: instant, to: instant }), { numRuns: 50, seed: 8 }),
    ])
      expect(readUsage(sqlite, tenantId, span)).toEqual(naive(charges, tenantId, span));
  expectSumsOfLedger(sqlite);
  sqlite.close();
});

test("sums outlive their rows: what retention deletes still counts", () => {
  const sqlite = openSqlite(":memory:");
  const charges = chargesOf([{ at: from + 30_000, tenantId: "ten_1", tasks: 2, tokens: 5 }]);
  for (const charge of charges) writeCharge(sqlite, charge);
  sqlite.run("DELETE FROM charges WHERE at < ?", to);
  const span = { from, to: from + 60_000 };
  expect(readUsage(sqlite, "ten_1", span)).toEqual(naive(charges, "ten_1", span));
  sqlite.close();
});

test("killed while it writes, a process leaves sums that are the ledger's", async () => {
  const folder = await folderForTest();
  const file = join(folder, "vedere.db");
  openSqlite(file).close();
  const program = await bundle();
  for (let round = 0; round < 3; round += 1) {
    const writer = spawn(process.execPath, [
      ...["--input-type=module", "--eval", program, "--", file, String(round)],
    ]);
    let written = 0;
    for await (const chunk of writer.stdout) {
      written += String(chunk).length;
      if (written >= 40) break;
    }
    const exited = writer.exitCode === null ? once(writer, "exit") : null;
    writer.kill("SIGKILL");
    await exited;
    const sqlite = openSqlite(file);
    expect(sqlite.all("SELECT 1 FROM charges").length).toBeGreaterThanOrEqual(40);
    expectSumsOfLedger(sqlite);
    sqlite.close();
  }
}, 60_000);

function expectSumsOfLedger(sqlite: Sqlite): void {
  const columns = "sum(encodings) AS encodings, sum(tokens) AS tokens, sum(cost) AS cost";
  const ledger = sqlite.all(
    `SELECT tenant_id, count(DISTINCT run_id) AS runs, count(*) AS tasks, ${columns}
     FROM charges GROUP BY tenant_id ORDER BY tenant_id`,
  );
  for (const grain of ["minute", "hour", "day", "month"])
    expect(
      sqlite.all(
        `SELECT tenant_id, sum(runs) AS runs, sum(tasks) AS tasks, ${columns}
         FROM usage_sums WHERE grain = ? GROUP BY tenant_id ORDER BY tenant_id`,
        grain,
      ),
      grain,
    ).toEqual(ledger);
}

/** Node 20 runs no TypeScript: the writer becomes one script. */
async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(packageRoot(), "test/adapters/charge-writer.ts")],
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    write: false,
  });
  return outputFiles[0]?.text ?? "";
}

async function folderForTest(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "vedere-sums-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}
