import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { expect, test } from "vitest";
import { integer, openSqlite, text } from "../../adapters/sqlite.ts";
import { vedere } from "../cli/vedere.ts";
import { type Service, startService } from "./service.ts";

const ends = ["SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELED", "EXPIRED"];

/**
 * Sends runs, each on an image of its own, until `stop` aborts; the last of them are queued then.
 */
async function submit(service: Service, stop: AbortSignal): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; !stop.aborted; i += 1) {
    const create = { width: 32, height: 32, channels: 3, background: { r: i % 256, g: 9, b: 9 } };
    const image = await sharp({ create: { ...create, channels: 3 } })
      .png()
      .toBuffer();
    const tagged = Buffer.concat([image, Buffer.from(`${i}`)]); // bytes behind the image's end
    const input = { source: { base64: tagged.toString("base64") }, tasks: [{ caption: {} }] };
    const { runCreate } = await service.ask<{ runCreate: { run: { id: string } } }>(
      "mutation ($input: RunCreateInput!) { runCreate(input: $input) { run { id } } }",
      { input },
    );
    ids.push(runCreate.run.id);
  }
  return ids;
}

test("a backup that is made while runs come and end restores whole, and its queued runs are answered", async () => {
  const folder = mkdtempSync(join(tmpdir(), "vedere-e2e-backup-"));
  const service = await startService({ workers: 1 });
  let restored: Service | null = null;
  try {
    const stop = new AbortController();
    const submitting = submit(service, stop.signal);
    const usage = async () =>
      (
        await service.ask<{ usage: { runs: number } }>(
          '{ usage(from: "2020-01-01T00:00:00Z", to: "2100-01-01T00:00:00Z") { runs } }',
        )
      ).usage.runs;
    await expect.poll(usage, { timeout: 20_000 }).toBeGreaterThan(2);
    const copy = join(folder, "copy");
    const made = await vedere(["backup", copy, "--data", service.dataDir, "--json"]);
    expect(made).toMatchObject({ code: 0, stderr: "" });
    const before = JSON.parse(made.stdout).runs;
    stop.abort();
    const ids = await submitting;
    expect(before).toBeGreaterThan(0);
    expect(ids.length).toBeGreaterThan(before); // runs came while it was made, or after it at least

    const busy = await vedere(["restore", copy, "--data", service.dataDir, "--force"]);
    expect(busy.code).toBe(2);
    expect(busy.stderr).toContain("A process works on");

    const data = join(folder, "restored");
    expect(await vedere(["restore", copy, "--data", data])).toMatchObject({ code: 0 });
    expectWhole(data, before);

    restored = await startService({ workers: 1, from: data });
    const { dataDir } = restored;
    const open = () => {
      const sqlite = openSqlite(join(dataDir, "vedere.db"));
      const states = sqlite.all("SELECT status FROM runs").map((row) => text(row, "status"));
      sqlite.close();
      return states.filter((status) => !ends.includes(status));
    };
    await expect.poll(open, { timeout: 60_000, interval: 250 }).toEqual([]);
    await restored.stop();
    restored = null;
  } finally {
    await restored?.stop();
    await service.stop();
    rmSync(folder, { recursive: true });
  }
}, 120_000);

/** Every run has its image with the right bytes; every ended run its charges, once. */
function expectWhole(dataDir: string, runs: number): void {
  const sqlite = openSqlite(join(dataDir, "vedere.db"));
  try {
    expect(sqlite.all("PRAGMA integrity_check")).toMatchObject([{ integrity_check: "ok" }]);
    const rows = sqlite.all(
      `SELECT runs.id, runs.tenant_id, runs.status, runs.data, images.file FROM runs
       JOIN images ON images.tenant_id = runs.tenant_id AND images.id = runs.data ->> '$.image.id'`,
    );
    expect(rows).toHaveLength(runs);
    for (const row of rows) {
      const { image } = JSON.parse(text(row, "data")) as { image: { sha256: string } };
      const hash = createHash("sha256").update(readFileSync(join(dataDir, text(row, "file"))));
      expect(hash.digest("hex")).toBe(image.sha256);
      const charges = sqlite.first(
        "SELECT count(*) AS n FROM charges WHERE run_id = ?",
        text(row, "id"),
      );
      const expected = text(row, "status") === "SUCCEEDED" ? 1 : 0;
      expect(charges && integer(charges, "n")).toBe(expected);
    }
  } finally {
    sqlite.close();
  }
}
