import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openBell } from "../../adapters/bell.ts";
import { databaseFaults } from "../../adapters/database-check.ts";
import { integer, openSqlite } from "../../adapters/sqlite.ts";
import { sqliteRuns } from "../../adapters/sqlite-runs.ts";
import { checkDatabase } from "../../cli/database-check.ts";
import { newRun } from "../core/new-run.ts";
import { vedere } from "./vedere.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vedere-check-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A database with some hundred pages. */
async function filled(): Promise<{ path: string; pageSize: number; pages: number }> {
  const path = join(folder, "vedere.db");
  const sqlite = openSqlite(path);
  const runs = sqliteRuns(sqlite, openBell(null));
  for (let i = 0; i < 100; i += 1)
    await runs.create(newRun({ id: `run_${i}`, metadata: "x".repeat(3_000) }), null);
  const pragma = (name: string) => integer(sqlite.first(`PRAGMA ${name}`) ?? {}, name);
  const [pageSize, pages] = [pragma("page_size"), pragma("page_count")];
  sqlite.first("PRAGMA wal_checkpoint(TRUNCATE)");
  sqlite.close();
  return { path, pageSize, pages };
}

test("a sound database is OK, and one whose pages are damaged FAILs with the way to a repair", async () => {
  const { path, pageSize, pages } = await filled();
  expect(databaseFaults(path)).toEqual([]);
  const doctor = async () => {
    const { stdout } = await vedere(["doctor", "--json", "--data", folder, "--port", "0"]);
    const findings: { name: string; status: string; detail: string; fix?: string }[] =
      JSON.parse(stdout);
    return findings.find(({ name }) => name === "database");
  };
  expect(await doctor()).toMatchObject({ status: "OK" });
  const file = openSync(path, "r+");
  for (let page = pages - 30; page < pages; page += 1)
    writeSync(file, Buffer.alloc(pageSize, 0xa5), 0, pageSize, page * pageSize);
  closeSync(file);
  expect(await doctor()).toMatchObject({
    status: "FAIL",
    detail: expect.stringContaining(`The database ${path} is damaged`),
    fix: expect.stringContaining("vedere restore"),
  });
}, 120_000);

test("a check that takes too long is broken off, with a way to do it elsewhere", async () => {
  await filled();
  const found = await checkDatabase({ store: "embedded", dataDir: folder }, { timeoutMs: 1 });
  expect(found).toMatchObject({ status: "WARN", fix: expect.stringContaining("vedere backup") });
});
