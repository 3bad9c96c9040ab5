import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parseManifest, readManifest } from "../../adapters/model-manifest.ts";

const sha256 = "0123456789abcdef".repeat(4);
const file = { path: "onnx/vision_encoder.onnx", bytes: 7, sha256 };
const parse = (manifest: object) => parseManifest(JSON.stringify(manifest), "vedere.json");

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vedere-manifest-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("what a build writes is read back", () => {
  const manifest = parse({
    id: "tuned",
    base: "florence-2-base",
    layout: "step",
    licence: "MIT",
    files: [file],
    parity: { images: 6 },
    ready: true,
  });
  expect(manifest).toMatchObject({
    id: "tuned",
    base: "florence-2-base",
    licence: "MIT",
    files: [file],
    fault: null,
    tasks: null,
  });
});

test("a model that its build found not ready has that as its fault", () => {
  expect(parse({ ready: false }).fault).toMatch(/see parity in vedere\.json/);
  expect(parse({}).fault).toBeNull();
});

test.each([
  [{ ready: "no" }, "ready"],
  [{ base: 1 }, "base"],
  [{ layout: "" }, "layout"],
  [{ parity: 1 }, "parity"],
  [{ files: [] }, "files"],
  [{ files: [{ ...file, sha256: "abc" }] }, "files"],
  [{ files: [{ ...file, bytes: 1.5 }] }, "files"],
  [{ files: [{ ...file, path: "../outside" }] }, "files"],
  [{ files: [{ ...file, path: "onnx\\..\\..\\outside" }] }, "files"],
  [{ files: [{ ...file, path: "/etc/passwd" }] }, "files"],
])("%j is refused, and the field named", (manifest, field) => {
  expect(() => parse(manifest)).toThrow(`vedere.json: ${field}: `);
});

test("a folder without a manifest has none, and an unreadable one is told", async () => {
  expect(await readManifest(folder)).toBeNull();
  writeFileSync(join(folder, "vedere.json"), "{");
  await expect(readManifest(folder)).rejects.toMatchObject({ code: "MODEL_UNAVAILABLE" });
});
