import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readConfig } from "../../adapters/config.ts";
import { connect } from "../../adapters/connect.ts";
import { mintKey } from "../../core/tenant.ts";
import { exportKinds } from "../../core/tenant-export.ts";
import { answered } from "../core/answered.ts";
import { grantOf } from "../core/new-key.ts";
import { newRun } from "../core/new-run.ts";
import { vedere } from "./vedere.ts";

const runCount = 250;
const sha256Of = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
let folder: string;
let data: string;
let out: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vedere-cli-export-"));
  [data, out] = [join(folder, "data"), join(folder, "out")];
});
afterEach(() => rm(folder, { recursive: true }));

/** Two tenants; of the first, runs that were charged, and two images. */
async function fill(): Promise<void> {
  const { close, secret, ...ports } = await connect(readConfig({}, { dataDir: data }));
  for (const id of ["ten_1", "ten_2"]) {
    await ports.tenants.create({ id, name: `of ${id}`, createdAt: 0, disabledAt: null });
    await ports.tenants.createKey(mintKey(grantOf(id), secret, 1).key);
  }
  for (let i = 0; i < runCount; i += 1) {
    const run = newRun({ id: `run_${i}`, tenantId: "ten_1", createdAt: i, metadata: { i } });
    await ports.runs.create(run, null);
    const tasks = run.tasks.map((task) => ({ ...task, outcome: answered(2) }));
    await ports.runs.replace({ ...run, version: 2, status: "SUCCEEDED", finishedAt: i + 1, tasks });
  }
  await ports.runs.create(newRun({ id: "run_of_2", tenantId: "ten_2" }), null);
  for (const [tenantId, id] of [
    ["ten_1", "img_a"],
    ["ten_1", "img_b"],
    ["ten_2", "img_c"],
  ] as const) {
    const bytes = Buffer.from(`the picture ${id}`);
    const size = { width: 1, height: 1, byteSize: bytes.length };
    const image = { id, sha256: sha256Of(bytes), mediaType: "image/jpeg", ...size } as const;
    await ports.images.put(tenantId, image, bytes);
  }
  await close();
}

const exportOf = (...args: string[]) => vedere(["tenants", "export", ...args, "--data", data]);
const linesOf = (kind: string) =>
  readFileSync(join(out, `${kind}.jsonl`), "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));

test("everything of a tenant lies in the folder, as its manifest says, and nothing of another", async () => {
  await fill();
  const { stdout, stderr, code } = await exportOf("of ten_1", out);
  expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
  expect(stdout).toMatch(/ records, 2 images, /);
  const manifest = JSON.parse(readFileSync(join(out, "manifest.json"), "utf8"));
  expect(manifest).toMatchObject({
    ...{ format: 1, tenantId: "ten_1", name: "of ten_1", faults: [] },
    images: { count: 2, byteSize: 2 * "the picture img_a".length },
  });
  expect(manifest.files.map(({ kind }: { kind: string }) => kind)).toEqual([...exportKinds]);
  for (const { path, records, byteSize, sha256 } of manifest.files) {
    const bytes = readFileSync(join(out, path));
    expect([sha256Of(bytes), bytes.length], path).toEqual([sha256, byteSize]);
    expect(bytes.toString().split("\n").length - 1, path).toBe(records);
    expect(bytes.toString(), path).not.toMatch(/ten_2|run_of_2|img_c|secretHash|sealed/);
  }
  expect(
    linesOf("run")
      .map(({ id }) => id)
      .sort(),
  ).toEqual(Array.from({ length: runCount }, (_, i) => `run_${i}`).sort());
  const charged = linesOf("charge");
  expect(charged).toHaveLength(runCount);
  expect(linesOf("usage")).toEqual([
    expect.objectContaining({
      from: 0,
      runs: runCount,
      tasks: charged.flatMap((row) => row.charges).length,
    }),
  ]);
  for (const { id, sha256 } of linesOf("image"))
    expect(sha256Of(readFileSync(join(out, "images", `${id}.jpg`)))).toBe(sha256);
  expect(readdirSync(join(out, "images")).sort()).toEqual(["img_a.jpg", "img_b.jpg"]);
  expect(linesOf("auditEntry")).toEqual([expect.objectContaining({ action: "tenant.export" })]);
  expect(readdirSync(folder).sort()).toEqual(["data", "out"]);
}, 60_000);

test("it takes an empty folder, and no other; what a killed export left is cleared away", async () => {
  await fill();
  mkdirSync(out);
  mkdirSync(`${out}.2147483646.draft`);
  expect(await exportOf("ten_1", out, "--json")).toMatchObject({ code: 0, stderr: "" });
  expect(existsSync(`${out}.2147483646.draft`)).toBe(false);
  const before = readFileSync(join(out, "manifest.json"));
  const again = await exportOf("ten_1", out);
  expect(again.code).not.toBe(0);
  expect(again.stderr).toContain("is not empty");
  expect(readFileSync(join(out, "manifest.json")).equals(before)).toBe(true);
}, 60_000);

test("an image without its file, or with another, is named; all else is exported", async () => {
  await fill();
  const files = readdirSync(join(data, "images/ten_1"), { recursive: true, encoding: "utf8" });
  const pathOf = (id: string) =>
    join(data, "images/ten_1", files.find((file) => file.includes(id)) ?? "");
  await rm(pathOf("img_a"));
  writeFileSync(pathOf("img_b"), "something else");
  const { code, stderr } = await exportOf("ten_1", out);
  expect(code).toBe(1);
  expect(stderr).toMatch(/img_a has no file\n.*img_b has a file with another sha256/);
  expect(JSON.parse(readFileSync(join(out, "manifest.json"), "utf8"))).toMatchObject({
    images: { count: 0 },
    faults: [expect.stringContaining("img_a"), expect.stringContaining("img_b")],
  });
  expect(linesOf("run")).toHaveLength(runCount);
}, 60_000);

test("a tenant that is not there, a name that two have, a folder without data", async () => {
  expect((await exportOf("ten_1", out)).stderr).toContain("vedere.db is missing");
  await fill();
  const ids = [];
  for (let i = 0; i < 2; i += 1)
    ids.push((await vedere(["tenants", "create", "twins", "--data", data])).stdout.trim());
  expect((await exportOf("nobody", out)).stderr).toContain("There is no tenant nobody");
  const { stderr } = await exportOf("twins", out);
  for (const id of ids) expect(stderr).toContain(id);
  expect(existsSync(out)).toBe(false);
}, 60_000);
