import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createFileDurably, diskError, writeFileDurably } from "../../adapters/disk.ts";
import { prepareFolder } from "../../adapters/embedded.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vedere-disk-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("a file is written whole, in folders that need not exist, over an older one", async () => {
  const path = join(folder, "a", "b", "file");
  await writeFileDurably(path, [Buffer.from("older")]);
  await writeFileDurably(path, [Buffer.from("new"), Buffer.from("er")]);
  expect(readFileSync(path, "utf8")).toBe("newer");
  expect(readdirSync(join(folder, "a", "b"))).toEqual(["file"]);
});

test("of many writers that create one file at once, the first wins and the others leave nothing behind", async () => {
  const path = join(folder, "file");
  await Promise.all(
    ["a", "b", "c"].map((text) => createFileDurably(path, [Buffer.from(text.repeat(3))])),
  );
  const first = readFileSync(path, "utf8");
  expect(first).toMatch(/^(aaa|bbb|ccc)$/);
  await createFileDurably(path, [Buffer.from("late")]);
  expect(readFileSync(path, "utf8")).toBe(first);
  expect(readdirSync(folder)).toEqual(["file"]);
});

test("a body that throws leaves nothing behind", async () => {
  async function* broken() {
    yield Buffer.from("half");
    throw new Error("broken off");
  }
  await expect(writeFileDurably(join(folder, "file"), broken())).rejects.toThrow("broken off");
  expect(readdirSync(folder)).toEqual([]);
});

test("a folder that may not be written to is a STORE_UNAVAILABLE error with its path and a fix", async () => {
  const closed = join(folder, "closed");
  mkdirSync(closed, { mode: 0o500 });
  await asOrdinaryUser(async () => {
    await expect(writeFileDurably(join(closed, "file"), [Buffer.from("x")])).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
      message: expect.stringContaining(closed),
      fix: expect.stringContaining("permission"),
    });
  });
  expect(existsSync(join(closed, "file"))).toBe(false);
});

test.each([
  { code: "ENOSPC", says: "full" },
  { code: "EDQUOT", says: "full" },
  { code: "SQLITE_FULL", says: "full" },
  { code: "EROFS", says: "may not write" },
  { code: "SQLITE_READONLY_DIRECTORY", says: "may not write" },
  { code: "EFBIG", says: "full" },
  { code: "SQLITE_CORRUPT_INDEX", says: "damaged" },
  { code: "SQLITE_BUSY", says: "lock" },
  { code: "SQLITE_IOERR_SHMMAP", says: "failed" },
  { code: "EIO", says: "failed" },
  { code: "ENOENT", says: "no such" },
  { code: "EMFILE", says: "[Tt]oo many" },
])("$code says $says, where, and what to do", ({ code, says }) => {
  const cause = Object.assign(new Error("low level"), { code });
  expect(diskError(cause, "/data")).toMatchObject({
    code: /full|may not write|failed/.test(says) ? "STORE_UNAVAILABLE" : "INTERNAL",
    message: expect.stringMatching(`${says}.*/data`),
    fix: expect.any(String),
    cause,
  });
});

test("other errors stay as they are", () => {
  const error = Object.assign(new Error("low level"), { code: "SQLITE_CONSTRAINT" });
  expect(diskError(error, "/data")).toBe(error);
  expect(diskError("thrown text", "/data")).toBe("thrown text");
});

test.skipIf(!existsSync("/proc/self"))(
  "a folder that no system can make is refused at once (skipped without /proc)",
  () => {
    const prepare = () => prepareFolder("/proc/vedere/data");
    expect(prepare).toThrow(expect.objectContaining({ code: "SETTING_INVALID" }));
    expect(prepare).toThrow("/proc/vedere/data");
  },
);

/** Permissions do not bind root, as whom some build machines run tests. */
async function asOrdinaryUser(work: () => Promise<void>): Promise<void> {
  if (process.geteuid?.() !== 0) return work();
  chmodSync(folder, 0o755);
  process.seteuid?.(65_534);
  try {
    await work();
  } finally {
    process.seteuid?.(0);
  }
}
