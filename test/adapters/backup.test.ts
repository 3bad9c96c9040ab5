import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as immediate } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { backUp } from "../../adapters/backup.ts";
import type { BackupManifest } from "../../adapters/backup-manifest.ts";
import { openData } from "../../adapters/embedded.ts";
import { fileImages } from "../../adapters/file-images.ts";
import { restore } from "../../adapters/restore.ts";
import type { Sqlite } from "../../adapters/sqlite.ts";

let folder: string;
let dataDir: string;
let sqlite: Sqlite;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "vedere-backup-"));
  dataDir = join(folder, "data");
  sqlite = openData(dataDir);
  writeFileSync(join(dataDir, "secret.key"), "secret");
  for (const name of ["one", "two"]) await store(name);
});
afterEach(() => {
  sqlite.close();
  rmSync(folder, { recursive: true });
});

const now = Date.UTC(2026, 0, 2, 3, 4, 5);
const backup = () => join(folder, "backup");
const make = () => backUp({ dataDir, folder: backup(), models: false, now });
const put = (more: Partial<Parameters<typeof restore>[0]> = {}) =>
  restore({ backup: backup(), dataDir: join(folder, "new"), force: false, now, ...more });

function images(in_ = sqlite, at = dataDir) {
  const place = { folder: at, publicUrl: "http://127.0.0.1:1", secret: "secret" };
  return fileImages(in_, { now: () => now }, place).images;
}

function imageOf(name: string) {
  const sha256 = createHash("sha256").update(name).digest("hex");
  const size = { byteSize: name.length, width: 1, height: 1, mediaType: "image/png" } as const;
  return { id: `img_${name}`, sha256, ...size };
}

/** The file that holds an image. */
const path = (name: string) => {
  const folder = `images/ten_1/${imageOf(name).sha256.slice(0, 2)}`;
  const file = readdirSync(join(dataDir, folder)).find((each) => each.startsWith(`img_${name}.`));
  return `${folder}/${file}`;
};
const store = (name: string) => images().put("ten_1", imageOf(name), Buffer.from(name));

test("a backup holds the database, the images and the secret, readable by its owner alone, and comes back whole", async () => {
  const { manifest, faults } = await make();
  expect(faults).toEqual([]);
  expect(manifest).toMatchObject({ format: 1, images: 2, createdAt: "2026-01-02T03:04:05.000Z" });
  expect(readdirSync(folder).sort()).toEqual(["backup", "data"]);
  await store("later");
  const { formerly } = await put();
  expect(formerly).toBeNull();
  const restored = openData(join(folder, "new"));
  const read = (name: string) => images(restored, join(folder, "new")).read("ten_1", `img_${name}`);
  expect([await read("one"), await read("later")]).toEqual([Buffer.from("one"), null]);
  expect(readFileSync(join(folder, "new", "secret.key"), "utf8")).toBe("secret");
  restored.close();
});

test("a backup never overwrites, never lies in the data folder and needs data", async () => {
  mkdirSync(backup());
  await expect(make()).rejects.toMatchObject({ code: "INVALID", message: /exists/ });
  const inside = backUp({ dataDir, folder: join(dataDir, "b"), models: false, now });
  await expect(inside).rejects.toMatchObject({ code: "INVALID" });
  const nothing = backUp({ dataDir: join(folder, "none"), folder: backup(), models: false, now });
  await expect(nothing).rejects.toMatchObject({ code: "INVALID", message: /none/ });
  expect(existsSync(join(folder, "none"))).toBe(false);
});

test("an image that is damaged or gone is named; all else is backed up", async () => {
  writeFileSync(join(dataDir, path("one")), "changed");
  const gone = path("two");
  rmSync(join(dataDir, gone));
  const { manifest, faults } = await make();
  expect([...faults].sort()).toEqual(
    [`${path("one")} has another sha256 than recorded`, `${gone} is missing`].sort(),
  );
  expect(manifest.files.map((file) => file.path).sort()).toEqual(["secret.key", "vedere.db"]);
});

test("an image that is deleted while the backup is made leaves the copy too", async () => {
  rmSync(join(dataDir, path("two")));
  const made = make();
  while (!existsSync(`${backup()}.${process.pid}.draft/images`)) await immediate(); // the database was copied
  sqlite.run("DELETE FROM images WHERE id = 'img_two'");
  const { manifest, faults } = await made;
  expect([faults, manifest.images]).toEqual([[], 1]);
  expect(manifest.files.map((file) => file.path).filter((each) => each.startsWith("im"))).toEqual([
    path("one"),
  ]);
  await put();
  const restored = openData(join(folder, "new"));
  expect(await images(restored, join(folder, "new")).get("ten_1", "img_two")).toBeNull();
  restored.close();
});

test("what a killed backup left is removed by the next one", async () => {
  mkdirSync(join(folder, "backup.4194999.draft")); // above Linux's highest pid, so nobody's
  await make();
  expect(readdirSync(folder).sort()).toEqual(["backup", "data"]);
});

test("a file that is changed, missing or unknown to the manifest's form stops a restore, and nothing is touched", async () => {
  const { manifest } = await make();
  const image = manifest.files.find((file) => file.path.startsWith("images/"))?.path ?? "";
  const whole = readFileSync(join(backup(), image));
  writeFileSync(join(backup(), image), "changed");
  rmSync(join(backup(), "secret.key"));
  await expect(put()).rejects.toMatchObject({
    code: "INVALID",
    message: new RegExp(`${image} has another sha256\\s+secret.key is missing`),
  });
  writeFileSync(join(backup(), image), whole);
  const write = (change: Partial<Record<keyof BackupManifest, unknown>>) =>
    writeFileSync(join(backup(), "manifest.json"), JSON.stringify({ ...manifest, ...change }));
  const [file] = manifest.files;
  for (const path of ["../out", "/etc/out", "a/../../out", ""]) {
    write({ files: [...manifest.files, { ...file, path }] });
    await expect(put()).rejects.toMatchObject({ code: "INVALID", message: /no backup/ });
  }
  write({ format: 2 });
  await expect(put()).rejects.toMatchObject({ code: "INVALID", message: /newer/ });
  write({ schemaVersion: 99 });
  await expect(put()).rejects.toMatchObject({ code: "INVALID", message: /newer/ });
  writeFileSync(join(backup(), "manifest.json"), "{");
  await expect(put()).rejects.toMatchObject({ code: "INVALID", message: /no JSON/ });
  rmSync(join(backup(), "manifest.json"));
  await expect(put()).rejects.toMatchObject({ code: "INVALID", message: /no manifest.json/ });
  expect(existsSync(join(folder, "new")) ? readdirSync(join(folder, "new")) : []).toEqual([]);
});

test("a folder with data is refused; with force, what was there is moved aside whole, and models stay", async () => {
  await make();
  const target = join(folder, "new");
  mkdirSync(join(target, "models"), { recursive: true });
  cpSync(join(import.meta.dirname, "../data-0.1.0/vedere.db"), join(target, "vedere.db"));
  await expect(put()).rejects.toMatchObject({ code: "INVALID", message: /not empty/ });
  const { formerly } = await put({ force: true });
  expect(formerly).toBe(join(target, "before-restore-20260102T030405Z"));
  expect(existsSync(join(formerly ?? "", "vedere.db"))).toBe(true);
  expect(readdirSync(target).sort()).toEqual(
    ["before-restore-20260102T030405Z", "images", "models", "secret.key", "vedere.db"].sort(),
  );
});

test("a folder that a process has open is refused, even with force", async () => {
  await make();
  const refused = put({ dataDir, force: true });
  await expect(refused).rejects.toMatchObject({ code: "INVALID", message: /process works on/ });
  expect(sqlite.all("SELECT id FROM images")).toHaveLength(2);
});

test("a damaged database can be restored over", async () => {
  await make();
  const target = join(folder, "new");
  mkdirSync(target);
  writeFileSync(join(target, "vedere.db"), "not a database at all");
  const { formerly } = await put({ force: true });
  expect(readFileSync(join(formerly ?? "", "vedere.db"), "utf8")).toContain("not a database");
  openData(target).close();
});
