import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openBell } from "../../adapters/bell.ts";
import { embeddedProbe } from "../../adapters/embedded-probe.ts";
import { integer, openSqlite, type Sqlite } from "../../adapters/sqlite.ts";
import { sqliteRuns } from "../../adapters/sqlite-runs.ts";
import { newRun } from "../core/new-run.ts";

let folder: string;
let sqlite: Sqlite;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vedere-probe-"));
  sqlite = openSqlite(join(folder, "vedere.db"));
});
afterEach(() => {
  sqlite.close();
  chmodSync(join(folder, "images"), 0o700);
  rmSync(folder, { recursive: true });
});

const pages = () => integer(sqlite.first("PRAGMA page_count") ?? {}, "page_count");

test("leaves one row and no file, and the database does not grow by it", async () => {
  const probe = embeddedProbe(sqlite, folder);
  for (let i = 0; i < 4; i += 1) await probe.write();
  const before = pages();
  for (let i = 0; i < 50; i += 1) await probe.write();
  expect(pages()).toBe(before);
  expect(integer(sqlite.first("SELECT count(*) AS n FROM probes") ?? {}, "n")).toBe(1);
  expect(readdirSync(join(folder, "images"))).toEqual([]);
});

test("fails when the database can grow no more, as a run does, and not when there is space again", async () => {
  mkdirSync(join(folder, "images"));
  const probe = embeddedProbe(sqlite, folder);
  const runs = sqliteRuns(sqlite, openBell(null));
  const store = (i: number) =>
    runs.create(newRun({ id: `run_${i}`, metadata: "x".repeat(8_000) }), null);
  sqlite.first(`PRAGMA max_page_count = ${pages() + 10}`);
  const full = { code: "STORE_UNAVAILABLE", message: expect.stringContaining(folder) };
  await expect(async () => {
    for (let i = 0; i < 100; i += 1) await store(i);
  }).rejects.toMatchObject(full);
  await expect(probe.write()).rejects.toMatchObject({
    ...full,
    fix: expect.stringContaining("space"),
  });
  sqlite.first("PRAGMA max_page_count = 1000000");
  await probe.write();
  expect((await store(1_000)).outcome).toBe("created");
});

test("fails where the images' folder takes no files, though the database takes rows", async () => {
  const images = join(folder, "images");
  mkdirSync(images);
  chmodSync(folder, 0o777);
  chmodSync(images, 0o500);
  const probe = embeddedProbe(sqlite, folder);
  const isRoot = process.geteuid?.() === 0; // permissions do not bind root
  if (isRoot) process.seteuid?.(65_534);
  try {
    await expect(probe.write()).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
      message: expect.stringContaining(images),
      fix: expect.stringContaining("permission"),
    });
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
  chmodSync(images, 0o700);
  await probe.write();
});
