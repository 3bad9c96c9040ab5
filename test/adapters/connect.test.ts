import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readConfig } from "../../adapters/config.ts";
import { connect } from "../../adapters/connect.ts";
import { serviceSecret } from "../../adapters/service-secret.ts";
import { newRun } from "../core/new-run.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vedere-connect-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("the first start makes the data folder; what is stored and the secret outlast a restart", async () => {
  const config = readConfig({}, { dataDir: join(folder, "new", "data") });
  const first = await connect(config);
  await first.runs.create(newRun(), null);
  await first.queue.send({ version: 1, tenantId: "ten_1", runId: "run_1" });
  await first.close();
  const second = await connect(config);
  expect(second.secret).toBe(first.secret);
  expect(await second.runs.get("ten_1", "run_1")).toEqual(newRun());
  expect(await second.queue.depth()).toMatchObject({ visible: 1 });
  expect((await second.models.list()).map(({ id }) => id)).toEqual(["florence-2-nano"]);
  await second.close();
});

test("closing ends the waits in progress", async () => {
  const ports = await connect(readConfig({}, { dataDir: folder }));
  await ports.runs.create(newRun(), null);
  const received = ports.queue.receive({ max: 1, waitMs: 25_000, leaseMs: 1_000 });
  const changed = ports.runs.changed("ten_1", "run_1", 1, 25_000);
  await ports.close();
  expect(await received).toEqual([]);
  await changed;
});

test("an upload's URL leads to the public address", async () => {
  const ports = await connect(
    readConfig({}, { dataDir: folder, publicUrl: "https://vision.example.com/" }),
  );
  const target = await ports.images.createUpload("ten_1", {
    id: "upl_1",
    byteSize: 1,
    sha256: "0",
    expiresAt: Date.now() + 1_000,
  });
  expect(target.url).toMatch(
    /^https:\/\/vision\.example\.com\/uploads\/upl_1\?expires=\d+&signature=[\w-]{43}$/,
  );
  await ports.close();
});

test("a data folder that cannot be one is refused with its path and a fix", async () => {
  const file = join(folder, "file");
  writeFileSync(file, "");
  for (const dataDir of [file, join(file, "data")]) {
    await expect(connect(readConfig({}, { dataDir }))).rejects.toMatchObject({
      code: "SETTING_INVALID",
      message: expect.stringContaining(dataDir),
      fix: expect.stringContaining("VEDERE_DATA"),
    });
  }
});

test("the secret is 32 random bytes that only the service's user can read", async () => {
  const secret = await serviceSecret(folder);
  expect(secret).toMatch(/^[0-9a-f]{64}$/);
  expect(readFileSync(join(folder, "secret.key"), "utf8").trim()).toBe(secret);
  expect(statSync(join(folder, "secret.key")).mode & 0o777).toBe(0o600);
});

test("many first starts at once get one secret", async () => {
  const secrets = await Promise.all(Array.from({ length: 20 }, () => serviceSecret(folder)));
  expect(new Set(secrets).size).toBe(1);
});

test("a damaged secret is refused, not replaced", async () => {
  writeFileSync(join(folder, "secret.key"), "half");
  await expect(serviceSecret(folder)).rejects.toMatchObject({
    code: "SETTING_INVALID",
    message: expect.stringContaining("secret.key"),
  });
  expect(readFileSync(join(folder, "secret.key"), "utf8")).toBe("half");
});

test("a secret from the settings takes the place of the file's", async () => {
  const ports = await connect(readConfig({ VEDERE_SECRET: "s".repeat(40) }, { dataDir: folder }));
  expect(ports.secret).toBe("s".repeat(40));
  await ports.close();
});
