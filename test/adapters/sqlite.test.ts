import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { integer, openSqlite, text } from "../../adapters/sqlite.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vedere-sqlite-"));
  path = join(folder, "vedere.db");
});
afterEach(() => rmSync(folder, { recursive: true }));

test("what is stored is there when the file is opened again", () => {
  const first = openSqlite(path);
  first.run("INSERT INTO tenants (id, name, created_at) VALUES (?, ?, ?)", "ten_1", "name", 1);
  first.close();
  const second = openSqlite(path);
  expect(second.first("SELECT name FROM tenants")).toMatchObject({ name: "name" });
  second.close();
});

test("a commit is on the disk before it is reported, and readers do not wait for writers", () => {
  const sqlite = openSqlite(path);
  expect(sqlite.first("PRAGMA synchronous")).toMatchObject({ synchronous: 2 }); // FULL
  expect(sqlite.first("PRAGMA journal_mode")).toMatchObject({ journal_mode: "wal" });
  expect(sqlite.first("PRAGMA busy_timeout")).toMatchObject({ timeout: 10_000 });
  sqlite.close();
});

test("a transaction that fails changes nothing, and the next one works", () => {
  const sqlite = openSqlite(path);
  const insert = (id: string) =>
    sqlite.run("INSERT INTO tenants (id, name, created_at) VALUES (?, 'name', 1)", id);
  const failing = () =>
    sqlite.write(() => {
      insert("ten_1");
      throw new Error("halfway");
    });
  expect(failing).toThrow("halfway");
  expect(sqlite.write(() => insert("ten_2"))).toBe(1);
  expect(sqlite.all("SELECT id FROM tenants").map((row) => text(row, "id"))).toEqual(["ten_2"]);
  sqlite.close();
});

test("a full disk is a STORE_UNAVAILABLE error with a fix, loses nothing, and is over when there is space again", () => {
  const sqlite = openSqlite(path);
  const store = () =>
    sqlite.write(() =>
      sqlite.run(
        "INSERT INTO tenants (id, name, created_at) VALUES (?, ?, 1)",
        "ten_1",
        "x".repeat(100_000),
      ),
    );
  const pages = sqlite.first("PRAGMA page_count");
  sqlite.first(`PRAGMA max_page_count = ${pages ? integer(pages, "page_count") : 0}`);
  expect(store).toThrow(
    expect.objectContaining({
      code: "STORE_UNAVAILABLE",
      message: expect.stringContaining(path),
      fix: expect.stringContaining("space"),
    }),
  );
  expect(sqlite.all("SELECT id FROM tenants")).toEqual([]);
  sqlite.first("PRAGMA max_page_count = 1000000");
  expect(store()).toBe(1);
  sqlite.close();
});

test("a file of a newer release is refused and left alone", () => {
  const newer = openSqlite(path);
  newer.run("PRAGMA user_version = 99");
  newer.close();
  expect(() => openSqlite(path)).toThrow(
    expect.objectContaining({
      code: "SETTING_INVALID",
      message: expect.stringContaining("version 99"),
    }),
  );
});

test("a path that cannot be a database is an INTERNAL error with its path and a fix", () => {
  const nowhere = join(folder, "none", "vedere.db");
  expect(() => openSqlite(nowhere)).toThrow(
    expect.objectContaining({
      code: "INTERNAL",
      message: expect.stringContaining(nowhere),
      fix: expect.any(String),
    }),
  );
});
