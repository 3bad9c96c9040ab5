import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openBell } from "../../adapters/bell.ts";
import { fileImages } from "../../adapters/file-images.ts";
import { openSqlite, type Sqlite } from "../../adapters/sqlite.ts";
import { sqliteQueue } from "../../adapters/sqlite-queue.ts";
import { sqliteRetention } from "../../adapters/sqlite-retention.ts";
import { sqliteRuns } from "../../adapters/sqlite-runs.ts";
import { sqliteTenants } from "../../adapters/sqlite-tenants.ts";
import { retain } from "../../core/retain.ts";
import { dayMs } from "../../core/retention.ts";
import type { StoredImage } from "../../core/run.ts";
import { fakeClock } from "../contract/fake-clock.ts";
import { newRun } from "../core/new-run.ts";

const bytes = Buffer.from("these bytes stand for a picture");
const image = newRun().image satisfies StoredImage;
const bell = openBell(null);
let folder: string;
let sqlite: Sqlite;
let clock: ReturnType<typeof fakeClock>;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vedere-retention-"));
  sqlite = openSqlite(join(folder, "vedere.db"));
  clock = fakeClock(Date.now());
});
afterEach(async () => {
  sqlite.close();
  await rm(folder, { recursive: true });
});

const place = () => ({ folder, publicUrl: "http://127.0.0.1:1", secret: "5".repeat(64) });
const imagesHere = () => fileImages(sqlite, clock, place()).images;
const filesIn = async (kind: "images" | "uploads") =>
  (await readdir(join(folder, kind), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
const always = async () => true;

/** A day and a bit passes, for files as well. */
async function ageBy(ms: number): Promise<void> {
  clock.advance(ms);
  const at = new Date(Date.now() - ms);
  for (const kind of ["images", "uploads"]) {
    const entries = await readdir(join(folder, kind), { recursive: true, withFileTypes: true });
    for (const entry of entries)
      if (entry.isFile()) await utimes(join(entry.parentPath, entry.name), at, at);
  }
}

test("drafts and files without a record go a day after they were written, and no others", async () => {
  await imagesHere().put("ten_1", image, bytes);
  await sqliteRuns(sqlite, bell).create(newRun(), null);
  const [kept = ""] = await filesIn("images");
  const [inFolder] = await readdir(join(folder, "images", "ten_1"));
  const beside = join(folder, "images", "ten_1", inFolder ?? "");
  await writeFile(join(beside, `${kept}.0c5a.draft`), "half of a");
  await writeFile(join(beside, "img_never"), "whole, and its process was killed");
  await writeFile(join(beside, "img_1"), "an earlier life of the image");
  await sqliteRetention({ sqlite, bell }, clock, folder).tidy();
  expect(await filesIn("images")).toHaveLength(4);
  await imagesHere().createUpload("ten_1", {
    ...{ id: "upl_1", byteSize: 1, sha256: image.sha256, expiresAt: clock.now() + 3 * dayMs },
  });
  await mkdir(join(folder, "uploads"), { recursive: true });
  await writeFile(join(folder, "uploads", "upl_1"), "an upload that is still to be used");
  await writeFile(join(folder, "uploads", "upl_1.77.draft"), "half of an up");
  await ageBy(dayMs + 1);
  await sqliteRetention({ sqlite, bell }, clock, folder).tidy();
  expect(await filesIn("images")).toEqual([kept]);
  expect(await filesIn("uploads")).toEqual(["upl_1"]);
});

test("an image that no run took goes after a day, and an upload a day after its URL expired", async () => {
  const images = imagesHere();
  await images.put("ten_1", image, bytes);
  await images.put("ten_2", image, bytes);
  await sqliteRuns(sqlite, bell).create(newRun({ tenantId: "ten_2" }), null);
  const upload = { id: "upl_1", byteSize: 1, sha256: image.sha256, expiresAt: clock.now() };
  await images.createUpload("ten_1", upload);
  const retention = sqliteRetention({ sqlite, bell }, clock, folder);
  expect(await retention.tidy()).toMatchObject({ images: 0, uploads: 0 });
  clock.advance(dayMs + 1);
  expect(await retention.tidy()).toMatchObject({ images: 1, uploads: 1 });
  expect(await images.get("ten_1", image.id)).toBeNull();
  expect(await images.getUpload("ten_1", "upl_1")).toBeNull();
  expect(await images.read("ten_2", image.id)).not.toBeNull();
  expect(await filesIn("images")).toHaveLength(1);
});

test("a file whose record was deleted goes with the next step, whoever was killed in between", async () => {
  await imagesHere().put("ten_1", image, bytes);
  const [name = ""] = await filesIn("images");
  sqlite.run("DELETE FROM images");
  sqlite.run("INSERT INTO removed_files (path) VALUES (?)", `images/ten_1/00/${name}`);
  await imagesHere().put("ten_1", image, bytes); // the same bytes come again meanwhile
  await sqliteRetention({ sqlite, bell }, clock, folder).expire("ten_1", 0);
  expect(await filesIn("images")).toHaveLength(1);
  expect(Buffer.from((await imagesHere().read("ten_1", image.id)) ?? [])).toEqual(bytes);
});

test("dead letters go, and a tenant's shorter limit counts", async () => {
  const tenants = sqliteTenants(sqlite);
  for (const id of ["ten_1", "ten_2", "ten_3"])
    await tenants.create({ id, name: id, createdAt: 0, disabledAt: null });
  await tenants.setLimits("ten_2", { retentionDays: 2 });
  await tenants.setLimits("ten_3", { retentionDays: 90 });
  const runs = sqliteRuns(sqlite, bell);
  const queue = sqliteQueue(sqlite, bell, clock);
  for (const tenantId of ["ten_1", "ten_2", "ten_3"]) {
    const run = newRun({ id: `run_${tenantId}`, tenantId });
    await runs.create(run, null);
    await runs.replace({ ...run, version: 2, status: "FAILED", finishedAt: clock.now() });
    await queue.send({ version: 1, tenantId, runId: "another" });
  }
  for (const lease of await queue.receive({ max: 3, waitMs: 0, leaseMs: 1_000 }))
    await queue.bury(lease, "given up");
  const retention = sqliteRetention({ sqlite, bell }, clock, folder);
  const round = (days: number | null) =>
    retain({ retention, tenants, clock }, { days, pause: always });
  clock.advance(3 * dayMs);
  expect(await round(null)).toMatchObject({ runs: 1, deadLetters: 1 });
  expect(await runs.get("ten_2", "run_ten_2")).toBeNull();
  clock.advance(28 * dayMs);
  expect(await round(30)).toMatchObject({ runs: 2, deadLetters: 2 });
  expect((await queue.depth()).dead).toBe(0);
});

test("a round ends when it is told to, and begins again where it was", async () => {
  const tenants = sqliteTenants(sqlite);
  await tenants.create({ id: "ten_1", name: "Ada", createdAt: 0, disabledAt: null });
  const runs = sqliteRuns(sqlite, bell);
  for (let i = 0; i < 150; i += 1) {
    const run = newRun({ id: `run_${i}` });
    await runs.create(run, null);
    await runs.replace({ ...run, version: 2, status: "EXPIRED", finishedAt: 1 });
  }
  const retention = sqliteRetention({ sqlite, bell }, clock, folder);
  const ports = { retention, tenants, clock };
  let steps = 0;
  const erased = await retain(ports, { days: 1, pause: async () => ++steps < 2 });
  expect(erased.runs).toBeGreaterThan(0);
  expect(erased.runs).toBeLessThan(150);
  const rest = await retain(ports, { days: 1, pause: always });
  expect(erased.runs + rest.runs).toBe(150);
});
