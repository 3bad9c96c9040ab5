import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { readConfig } from "../../adapters/config.ts";
import { type Connection, connect } from "../../adapters/connect.ts";
import { databaseIn } from "../../adapters/embedded.ts";
import { connectTo, openSqlite, text } from "../../adapters/sqlite.ts";
import { tableGroups } from "../../adapters/sqlite-storage.ts";
import { measureStorage } from "../../adapters/storage.ts";
import type { StoredImage } from "../../core/run.ts";
import { newRun } from "../core/new-run.ts";

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "vedere-storage-"));
  onTestFinished(() => rm(dataDir, { recursive: true }));
});

/** As when the last process of the service ends. */
function putLogIntoFile(): void {
  const db = connectTo(databaseIn(dataDir));
  db.prepare("PRAGMA wal_checkpoint(TRUNCATE)").all();
  db.close();
}

const measure = (hasTime = () => true, isByTenant = true) =>
  measureStorage({ dataDir, models: [], isByTenant, hasTime });

async function fill(ports: Connection): Promise<void> {
  for (const tenantId of ["ten_1", "ten_2"])
    await ports.tenants.create({
      id: tenantId,
      name: `of ${tenantId}`,
      createdAt: 0,
      disabledAt: null,
    });
  for (let i = 0; i < 30; i += 1) {
    const tenantId = i % 3 ? "ten_1" : "ten_2";
    await ports.runs.create(
      newRun({ id: `run_${i}`, tenantId, metadata: "x".repeat(1_000) }),
      null,
    );
    const bytes = Buffer.alloc(1_000 + i, i);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const image: StoredImage = {
      ...{ id: `img_${i}`, sha256, mediaType: "image/png", byteSize: bytes.length },
      ...{ width: 1, height: 1 },
    };
    await ports.images.put(tenantId, image, bytes);
  }
}

async function openFilled(): Promise<Connection> {
  const ports = await connect(readConfig({}, { dataDir }));
  await fill(ports);
  return ports;
}

test("every table belongs to a group", () => {
  const sqlite = openSqlite(":memory:");
  const tables = sqlite
    .all("SELECT name FROM sqlite_schema WHERE type = 'table'")
    .map((row) => text(row, "name"));
  const grouped = Object.values(tableGroups).flat();
  expect(tables.length).toBeGreaterThan(15);
  expect(tables.filter((table) => !grouped.includes(table))).toEqual([]);
  sqlite.close();
});

test("tables, images, drafts, models, backups and tenants are what was put there, at work and at rest", async () => {
  const ports = await openFilled();
  await mkdir(join(dataDir, "models/florence@1/onnx"), { recursive: true });
  await mkdir(join(dataDir, "models/.half.draft"), { recursive: true });
  await mkdir(join(dataDir, "before-restore-1"), { recursive: true });
  for (const [path, size] of [
    ["models/florence@1/onnx/a.onnx", 500],
    ["models/florence@1/config.json", 20],
    ["models/.half.draft/a.onnx", 70],
    ["images/ten_1/img_9.f00.draft", 30],
    ["before-restore-1/vedere.db", 400],
    ["notes.txt", 5],
  ] as const)
    await writeFile(join(dataDir, path), Buffer.alloc(size));
  const bells = (await measure()).otherBytes;
  const expected = {
    images: { count: 30, bytes: 30 * 1_000 + (29 * 30) / 2 },
    uploads: { count: 0, bytes: 0 },
    drafts: { count: 2, bytes: 100 },
    models: [{ name: "florence@1", bytes: 520 }],
    backups: [{ name: "before-restore-1", bytes: 400 }],
    tenants: [
      { id: "ten_1", name: "of ten_1", runs: { count: 20 }, images: { count: 20 } },
      { id: "ten_2", name: "of ten_2", runs: { count: 10 }, images: { count: 10 } },
    ],
    isComplete: true,
  };
  const atWork = await measure();
  expect(atWork).toMatchObject(expected);
  expect(bells).toBeGreaterThanOrEqual(5 + readFileSync(join(dataDir, "secret.key")).length);
  expect(atWork.database.walBytes).toBeGreaterThan(0);
  expect(atWork.tenants?.[0]?.runs.bytes).toBeGreaterThan(20 * 1_000);
  expect(atWork.disk.totalBytes).toBeGreaterThan(atWork.disk.freeBytes);
  await ports.close();
  putLogIntoFile();
  const before = readFileSync(databaseIn(dataDir));
  const atRest = await measure();
  expect(atRest).toMatchObject(expected);
  expect(readFileSync(databaseIn(dataDir)).equals(before)).toBe(true);
  const { bytes, groups, unusedBytes, walBytes } = atRest.database;
  expect(groups.reduce((sum, group) => sum + group.bytes, unusedBytes)).toBe(bytes);
  expect(groups.find(({ name }) => name === "runs")?.bytes).toBeGreaterThan(30 * 1_000);
  expect(walBytes).toBe(0);
});

test("a writer that holds the lock holds nobody up, nor is it held up", async () => {
  const ports = await openFilled();
  const writer = connectTo(databaseIn(dataDir));
  writer.exec("BEGIN IMMEDIATE");
  writer.exec("DELETE FROM runs");
  expect((await measure()).tenants?.[0]?.runs.count).toBe(20);
  writer.exec("COMMIT");
  writer.close();
  expect((await measure()).tenants?.[0]?.runs.count).toBe(0);
  await ports.close();
});

test("it ends with its time, and says so", async () => {
  await (await openFilled()).close();
  let looks = 0;
  const report = await measure(() => ++looks < 20);
  expect(report.isComplete).toBe(false);
  expect(looks).toBeLessThan(40);
});

test("a folder without a database is refused, and stays without", async () => {
  await expect(measure()).rejects.toMatchObject({ code: "INVALID" });
  expect(existsSync(databaseIn(dataDir))).toBe(false);
});
