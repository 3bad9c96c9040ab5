import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openData } from "../../adapters/embedded.ts";
import { fileImages } from "../../adapters/file-images.ts";
import { openSqlite, type Sqlite } from "../../adapters/sqlite.ts";
import { writeCharge } from "../../adapters/sqlite-ledger.ts";
import { sqliteTenants } from "../../adapters/sqlite-tenants.ts";
import { chargesOf } from "../../core/charge.ts";
import { answered } from "../core/answered.ts";
import { newRun } from "../core/new-run.ts";

const cli = join(import.meta.dirname, "../../dist/cli/main.js");
const clock = { now: () => Date.now() };
const [runCount, imageCount] = [4_000, 50];
const running = new Set<ChildProcess>();
let dataDir: string;
let sqlite: Sqlite;

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "vedere-deletion-"));
  sqlite = openData(dataDir);
});
afterEach(async () => {
  for (const child of running) await killed(child);
  sqlite.close();
  rmSync(dataDir, { recursive: true });
});

function vedere(...args: string[]): ChildProcess {
  const child = spawn(process.execPath, [cli, ...args, "--data", dataDir], { stdio: "pipe" });
  running.add(child);
  child.once("exit", () => running.delete(child));
  return child;
}

async function killed(child: ChildProcess): Promise<void> {
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}

const tenants = () => sqliteTenants(sqlite);
const deletion = async () => (await tenants().get("ten_1"))?.deletion ?? null;
const count = (table: string) =>
  sqlite.first(`SELECT count(*) AS n FROM ${table} WHERE tenant_id = 'ten_1'`)?.n;

test("a deletion goes on after kill -9 of the gateway, and reports exactly what it removed", async () => {
  await tenants().create({ id: "ten_1", name: "Ada", createdAt: 0, disabledAt: null });
  const place = { folder: dataDir, publicUrl: "http://127.0.0.1:1", secret: "s" };
  const { images } = fileImages(sqlite, clock, place);
  for (let i = 0; i < imageCount; i += 1)
    await images.put("ten_1", { ...newRun().image, id: `img_${i}` }, Buffer.from(`picture ${i}`));
  sqlite.write(() => {
    for (let i = 0; i < runCount; i += 1) {
      const run = newRun({
        id: `run_${i}`,
        version: 2,
        status: "SUCCEEDED",
        finishedAt: 1,
        image: { ...newRun().image, id: `img_${i % imageCount}` },
        tasks: newRun().tasks.map((task) => ({ ...task, outcome: answered(3) })),
      });
      sqlite.run(
        `INSERT INTO runs (tenant_id, id, version, status, created_at, expires_at, data)
         VALUES ('ten_1', ?, 2, 'SUCCEEDED', 0, 0, ?)`,
        run.id,
        JSON.stringify(run),
      );
      for (const charge of chargesOf(run)) writeCharge(sqlite, charge);
    }
  });
  const sums = sqlite.all("SELECT * FROM usage_sums");
  const begin = vedere("tenants", "delete", "Ada", "--yes");
  expect((await once(begin, "exit"))[0]).toBe(0);
  expect((await deletion())?.erased.runs).toBe(0);

  const first = vedere("gateway", "--port", "0");
  await expect
    .poll(async () => (await deletion())?.erased.runs, { timeout: 60_000, interval: 2 })
    .toBeGreaterThan(0);
  await killed(first);
  const half = await deletion();
  expect(half?.finishedAt).toBeNull();
  expect(half?.erased.runs).toBeLessThan(runCount);
  expect(count("runs")).toBe(runCount - (half?.erased.runs ?? 0));
  const other = openSqlite(join(dataDir, "vedere.db"));
  expect(other.all("PRAGMA integrity_check")).toMatchObject([{ integrity_check: "ok" }]);
  other.close();
  await pause(50);

  vedere("gateway", "--port", "0");
  await expect
    .poll(async () => (await deletion())?.finishedAt ?? null, { timeout: 90_000, interval: 50 })
    .not.toBeNull();
  expect((await deletion())?.erased).toMatchObject({
    ...{ runs: runCount, images: imageCount, charges: 2 * runCount },
  });
  for (const table of ["runs", "images", "charges"]) expect(count(table)).toBe(0);
  expect(existsSync(join(dataDir, "images", "ten_1"))).toBe(false);
  expect(sqlite.all("SELECT * FROM usage_sums")).toEqual(sums);
}, 180_000);
