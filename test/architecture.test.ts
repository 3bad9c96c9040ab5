import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { expect, test } from "vitest";

/** Which of our folders a folder may import. The arrows point down; DESIGN.md draws them. */
const allowed: Record<string, string[]> = {
  schema: [],
  core: ["schema"],
  images: ["core", "schema"],
  api: ["core", "images", "schema"],
  inference: ["core", "images", "schema"],
  adapters: ["core", "schema"],
  cli: ["adapters", "api", "core", "images", "inference", "schema"],
  infra: ["adapters", "api", "core", "images", "schema"],
  bench: ["adapters", "api", "core", "images", "inference", "schema"],
};

const files = Object.keys(allowed).flatMap((folder) =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.[jt]sx?$/.test(name))
    .map((name) => normalize(join(folder, name))),
);

function importsOf(file: string): string[] {
  const forms =
    /^(?:import|export)\s[^"';]*?\sfrom\s+"([^"]+)"|^import\s+"([^"]+)"|\bimport\("([^"]+)"\)/gm;
  return [...readFileSync(file, "utf8").matchAll(forms)].map(
    (match) => match[1] ?? match[2] ?? match[3] ?? "",
  );
}

const ours = (file: string) =>
  importsOf(file)
    .filter((name) => name.startsWith("."))
    .map((name) => normalize(join(dirname(file), name)));

test("dependencies point down", () => {
  const wrong = files.flatMap((file) => {
    const home = file.split("/")[0] ?? "";
    return ours(file)
      .map((target) => ({ target, folder: target.split("/")[0] ?? "" }))
      .filter(({ folder }) => folder !== home && !allowed[home]?.includes(folder))
      .map(({ target }) => `${file} imports ${target}`);
  });
  expect(files.length).toBeGreaterThan(30);
  expect(wrong).toEqual([]);
});

test("no import cycles", () => {
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (file: string, path: string[]) => {
    if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(" → "));
    if (done.has(file) || path.includes(file)) return;
    for (const target of ours(file)) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  expect(cycles).toEqual([]);
});

test("core and schema know no technology", () => {
  const outside = files
    .filter((file) => /^(core|schema)\//.test(file))
    .flatMap((file) => importsOf(file).map((name) => ({ file, name })))
    .filter(({ name }) => !name.startsWith(".") && !["node:crypto", "node:zlib"].includes(name));
  expect(outside).toEqual([]);
  const impure = files.filter(
    (file) =>
      /^(core|schema)\//.test(file) &&
      /process\.env|Date\.now|Math\.random/.test(readFileSync(file, "utf8")),
  );
  expect(impure).toEqual([]);
});

test("only adapters/config.ts reads the environment; what silences a library alone writes it", () => {
  const readers = files.filter((file) => /process\.env/.test(readFileSync(file, "utf8")));
  const allowed = ["adapters/config.ts", "adapters/aws/quiet-sdk.ts", "inference/telemetry-off.ts"];
  expect(readers.filter((file) => !allowed.includes(file))).toEqual([]);
  const uses = readFileSync("inference/telemetry-off.ts", "utf8").match(/^[^/].*$/gm);
  expect(uses).toEqual(['process.env.ORT_DISABLE_TELEMETRY = "1";']);
});

test("ONNX Runtime is imported through the module that switches its telemetry off first", () => {
  const tests = readdirSync("test", { recursive: true, encoding: "utf8" })
    .filter((name) => /\.[cm]?[jt]sx?$/.test(name))
    .map((name) => normalize(join("test", name)));
  const loads = /(?:from|import|import\(|require\()\s*["']onnxruntime-node/;
  const loaders = [...files, ...tests].filter((file) => loads.test(readFileSync(file, "utf8")));
  // The bench's other side loads a copy of its own; the e2e test shows what the library does unless
  // told.
  expect(loaders.sort()).toEqual(["bench/base/anchor.ts", "inference/onnx-runtime.ts"]);
  for (const file of loaders)
    expect(ours(file)[0], file).toBe(normalize("inference/telemetry-off.ts"));
});

test("no folder or file is called util, helper, common or manager", () => {
  expect(
    files.filter((file) => /(^|\/)(utils?|helpers?|common|managers?)(\.|\/)/.test(file)),
  ).toEqual([]);
});
