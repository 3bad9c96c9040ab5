import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { pullModel } from "../../cli/pull.ts";
import { precisionsOf } from "../../inference/florence2/model-files.ts";
import { type FakeHub, startFakeHub } from "./fake-hub.ts";

const graph = "onnx/vision_encoder.onnx";
const nano = join(import.meta.dirname, "../../models/florence-2-nano");
let hub: FakeHub;
let into: string;

beforeEach(async () => {
  hub = await startFakeHub();
  into = mkdtempSync(join(tmpdir(), "vedere-pull-"));
});

afterEach(async () => {
  await hub.close();
  rmSync(into, { recursive: true });
});

function pull(
  overrides: { name?: string; precision?: string; onBytes?: (bytes: number) => void } = {},
) {
  return pullModel(
    { endpoint: hub.endpoint, token: null },
    {
      name: overrides.name ?? "florence-2-base-ft",
      revision: "main",
      precisions: precisionsOf(overrides.precision ?? "fp32"),
      into,
      onFiles: () => {},
      onBytes: (_file, bytes) => overrides.onBytes?.(bytes),
    },
  );
}

const pulledFile = (path: string) => readFileSync(join(into, "florence-2-base-ft", path));
const original = (path: string) => readFileSync(join(nano, path));

test("a pulled model is byte for byte the repository's, pinned to its commit, and nothing else lies there", async () => {
  let counted = 0;
  const pulled = await pull({ onBytes: (bytes) => (counted += bytes) });
  expect(pulled).toMatchObject({ id: "florence-2-base-ft", commit: hub.commit, isNew: true });
  expect(readdirSync(into)).toEqual(["florence-2-base-ft"]);
  const files = readdirSync(pulled.folder, { recursive: true, encoding: "utf8" }).filter((path) =>
    statSync(join(pulled.folder, path)).isFile(),
  );
  const fetched = files.filter((path) => !["vedere.json", "SHA256SUMS"].includes(path));
  expect(fetched).toHaveLength(8);
  for (const path of fetched) expect(pulledFile(path).equals(original(path)), path).toBe(true);
  expect(counted).toBe(fetched.reduce((sum, path) => sum + original(path).length, 0));
  expect(JSON.parse(pulledFile("vedere.json").toString())).toMatchObject({
    id: "florence-2-base-ft",
    revision: hub.commit,
    precision: "fp32",
  });
});

test("a model that is there at this commit is not fetched again", async () => {
  await pull();
  hub.downloads.length = 0;
  expect(await pull()).toMatchObject({ isNew: false });
  expect(hub.downloads).toEqual([]);
});

test("a model whose files have changed is fetched again", async () => {
  const { folder } = await pull();
  writeFileSync(join(folder, graph), "damaged");
  expect(await pull()).toMatchObject({ isNew: true });
  expect(pulledFile(graph).equals(original(graph))).toBe(true);
});

test("a connection that breaks is taken up where it broke", async () => {
  const part = `.florence-2-base-ft@${hub.commit}.fp32/${graph}.part`;
  const isOnDisk = () => (statSync(join(into, part), { throwIfNoEntry: false })?.size ?? 0) > 0; // a break may lose what is on its way
  const until = () => vi.waitUntil(isOnDisk, { timeout: 20_000 });
  hub.mischief.breakOff = { path: graph, afterBytes: 1_500_000, times: 1, until };
  await pull();
  expect(pulledFile(graph).equals(original(graph))).toBe(true);
  const [first, second, ...more] = hub.downloads.filter((line) => line.startsWith(graph));
  expect(first).toBe(`${graph} whole`);
  expect(second).toMatch(/bytes=[1-9]\d*-\d+$/);
  expect(more).toEqual([]);
});

test("a pull that failed goes on in the next one, without fetching again what it had", async () => {
  hub.mischief.breakOff = { path: graph, afterBytes: 0, times: 9 };
  await expect(pull()).rejects.toMatchObject({
    code: "MODEL_UNAVAILABLE",
    fix: expect.stringContaining("goes on where it stopped"),
  });
  expect(readdirSync(into)).toEqual([expect.stringMatching(/^\.florence-2-base-ft@/)]);
  hub.mischief.breakOff = null;
  hub.downloads.length = 0;
  await pull();
  expect(hub.downloads.map((line) => line.split(" ")[0])).not.toContain("config.json");
  expect(pulledFile(graph).equals(original(graph))).toBe(true);
});

test.each([graph, "config.json"])(
  "%s that arrives with another hash is refused and removed, and the model does not appear",
  async (path) => {
    hub.mischief.corrupt = path;
    await expect(pull()).rejects.toMatchObject({
      code: "MODEL_UNAVAILABLE",
      message: expect.stringContaining(`${path} arrived damaged`),
    });
    const left = readdirSync(into, { recursive: true, encoding: "utf8" }).map((file) =>
      file.replace(/^[^/]*\/?/, ""),
    );
    expect(left).not.toContain(path);
    expect(left).not.toContain(`${path}.part`);
    expect(readdirSync(into)).not.toContain("florence-2-base-ft");
  },
);

test("a precision that the repository lacks is named before anything is fetched", async () => {
  await expect(pull({ precision: "q8" })).rejects.toMatchObject({
    code: "MODEL_UNAVAILABLE",
    message: expect.stringContaining("onnx/vision_encoder_quantized.onnx"),
  });
  expect(hub.downloads).toEqual([]);
});

test("a repository that is not there is told apart from a hub that is not there", async () => {
  await expect(pull({ name: "missing/model" })).rejects.toMatchObject({
    code: "MODEL_NOT_FOUND",
    fix: expect.stringContaining("HF_TOKEN"),
  });
  await hub.close();
  await expect(pull()).rejects.toMatchObject({
    code: "MODEL_UNAVAILABLE",
    fix: expect.stringMatching(/HTTPS_PROXY.*HF_ENDPOINT.*copy/),
  });
});

test("a name that is no repository is wrong usage", async () => {
  await expect(pull({ name: "../../etc" })).rejects.toMatchObject({ code: "INVALID" });
});
