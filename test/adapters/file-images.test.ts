import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openBell } from "../../adapters/bell.ts";
import { fileImages } from "../../adapters/file-images.ts";
import { openSqlite } from "../../adapters/sqlite.ts";
import { sqliteRetention } from "../../adapters/sqlite-retention.ts";
import { fakeClock } from "../contract/fake-clock.ts";

test("an upload's file is deleted a day after its URL has expired", async () => {
  const folder = mkdtempSync(join(tmpdir(), "vedere-uploads-"));
  const sqlite = openSqlite(":memory:");
  const clock = fakeClock();
  const { images, uploads } = fileImages(sqlite, clock, {
    folder,
    publicUrl: "http://127.0.0.1:4000",
    secret: "secret",
  });
  const bytes = Buffer.from("picture");
  const prepare = async (id: string) => {
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const { url } = await images.createUpload("ten_1", {
      id,
      byteSize: bytes.length,
      sha256,
      expiresAt: clock.now() + 60_000,
    });
    return new URL(url).searchParams.get("signature") ?? "";
  };
  async function* body() {
    yield bytes;
  }
  await uploads.accept("upl_1", await prepare("upl_1"), body());
  const { tidy } = sqliteRetention({ sqlite, bell: openBell(null) }, clock, folder);
  clock.advance(60_000 + 86_400_000);
  await tidy();
  expect(await images.readUpload("ten_1", "upl_1")).not.toBeNull();
  clock.advance(1);
  await tidy();
  expect(await images.getUpload("ten_1", "upl_1")).toBeNull();
  expect(await images.readUpload("ten_1", "upl_1")).toBeNull();
  expect(readdirSync(join(folder, "uploads"))).toEqual([]);
  sqlite.close();
  rmSync(folder, { recursive: true });
});
