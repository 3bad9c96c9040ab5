import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "libsql";
import { afterEach, beforeEach, expect, test } from "vitest";
import { integer, openSqlite } from "../../adapters/sqlite.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vedere-broken-"));
  path = join(folder, "vedere.db");
});
afterEach(() => rmSync(folder, { recursive: true }));

/** What opening says; the file's name and a fix are in every answer. */
function refusal(): { code: string; message: string; fix: string } {
  try {
    openSqlite(path).close();
  } catch (error) {
    const { code, message, fix } = error as { code: string; message: string; fix: string };
    expect(message).toContain(path);
    expect(fix).toMatch(/\w{3,}/);
    return { code, message, fix };
  }
  throw new Error("It was opened.");
}

const old = join(import.meta.dirname, "../data-0.1.0/vedere.db");

test.each([
  ["random bytes", Buffer.alloc(8192, 0xa7)],
  ["a line of text", Buffer.from("hello\n")],
])("%s instead of a database: named, with the way to restore", (_what, bytes) => {
  writeFileSync(path, bytes);
  const { code, fix } = refusal();
  expect(code).toBe("INTERNAL");
  expect(fix).toContain("vedere restore");
  expect(readFileSync(path)).toEqual(bytes);
});

test("an empty file becomes a database", () => {
  writeFileSync(path, "");
  openSqlite(path).close();
});

test.each([0.25, 0.5, 0.9])("a database cut to %f of its size is damaged", (part) => {
  cpSync(old, path);
  truncateSync(path, Math.floor(statSync(old).size * part));
  const { code, message, fix } = refusal();
  expect(code).toBe("INTERNAL");
  expect(message).toContain("damaged");
  expect(fix).toContain("vedere restore");
});

test("a page that was overwritten is damaged, as soon as it is read", () => {
  cpSync(old, path);
  const bytes = readFileSync(path);
  for (let page = 1; page < bytes.length / 4096; page += 1)
    bytes.fill(0x5a, page * 4096, page * 4096 + 4096);
  writeFileSync(path, bytes);
  const read = () => {
    const sqlite = openSqlite(path);
    try {
      sqlite.all("SELECT data FROM runs");
    } finally {
      sqlite.close();
    }
  };
  expect(read).toThrow(
    expect.objectContaining({
      code: "INTERNAL",
      message: expect.stringContaining(path),
      fix: expect.stringContaining("vedere restore"),
    }),
  );
});

test("a database of another program is refused and stays byte for byte as it is", () => {
  for (const pragma of ["user_version = 0", "user_version = 3", "application_id = 77"]) {
    const foreign = new Database(path);
    foreign.exec(`CREATE TABLE IF NOT EXISTS songs (id INTEGER); PRAGMA ${pragma}`);
    foreign.close();
    const before = readFileSync(path);
    expect(refusal()).toMatchObject({
      code: "SETTING_INVALID",
      message: expect.stringContaining("another program"),
    });
    expect(readFileSync(path)).toEqual(before);
  }
});

test("a folder in the database's place", () => {
  mkdirSync(path);
  expect(refusal().fix).toContain("folder");
});

test("a write-ahead log that was cut in half costs its last commits, and no more", () => {
  const sqlite = openSqlite(path);
  const insert = "INSERT INTO tenants (id, name, created_at) VALUES (?, ?, 1)";
  for (let i = 0; i < 50; i += 1) sqlite.run(insert, `ten_${i}`, "name");
  const copy = join(folder, "copy");
  mkdirSync(copy);
  for (const name of ["vedere.db", "vedere.db-wal"]) cpSync(join(folder, name), join(copy, name));
  sqlite.close();
  truncateSync(
    join(copy, "vedere.db-wal"),
    Math.floor(statSync(join(copy, "vedere.db-wal")).size * 0.9),
  );
  const again = openSqlite(join(copy, "vedere.db"));
  const row = again.first("SELECT count(*) AS tenants FROM tenants");
  expect(row && integer(row, "tenants")).toBeGreaterThan(0);
  expect(row && integer(row, "tenants")).toBeLessThan(50);
  expect(again.all("PRAGMA integrity_check")).toMatchObject([{ integrity_check: "ok" }]);
  expect(again.run(insert, "ten_new", "name")).toBe(1);
  again.close();
});
