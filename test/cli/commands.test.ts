import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startFakeHub } from "./fake-hub.ts";
import { vedere } from "./vedere.ts";

const root = join(import.meta.dirname, "../..");
const samples = join(root, "models/samples");
const [sample = ""] = readdirSync(samples)
  .filter((file) => file.endsWith(".jpg"))
  .map((file) => join(samples, file));
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "vedere-cli-"));
});

afterAll(() => rmSync(folder, { recursive: true }));

test("--help shows every command and examples on files that are there", async () => {
  const { stdout, code } = await vedere(["--help"]);
  expect(code).toBe(0);
  for (const command of ["start", "worker", "analyze", "models", "doctor"])
    expect(stdout).toMatch(new RegExp(`^ {2}${command}\\b`, "m"));
  const [example = ""] = /models\/samples\/[\w-]+\.jpg/.exec(stdout) ?? [];
  expect(readFileSync(join(root, example)).length).toBeGreaterThan(0);
});

test("--version is the package's", async () => {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  expect(await vedere(["--version"])).toMatchObject({ stdout: `${version}\n`, code: 0 });
});

test.each([
  [
    ["analyze", sample, "--taks", "caption"],
    /^error: unknown option '--taks'\n\(Did you mean --task\?\)\nfix: /,
  ],
  [["analyze", sample, "--region", "1,2,3"], /^error: option '--region .*four numbers/],
  [
    ["start", "--port", "70000"],
    /^error: The settings are wrong:\n {2}port: "70000" is not [\s\S]*\nfix: /,
  ],
])("wrong usage exits 2 and says what to do: %j", async (args, message) => {
  const { code, stdout, stderr } = await vedere(args);
  expect(stderr).toMatch(message);
  expect(stderr).not.toMatch(/\n\s+at /);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
});

test("analyze --json prints the API's types, and --out draws them on the image", async () => {
  const { width = 0, height = 0 } = await sharp(sample).metadata();
  const box = { x0: 40, y0: 60, x1: width - 50, y1: height - 70 };
  const out = join(folder, "drawn.png");
  const region = Object.values(box).join(",");
  const tasks = [
    "--task",
    "caption",
    "--task",
    "describe-region",
    "--region",
    region,
    "--task",
    "read-text",
  ];
  const { code, stdout, stderr } = await vedere([
    "analyze",
    sample,
    ...tasks,
    "--beams",
    "1",
    "--json",
    "--out",
    out,
    "--data",
    folder,
  ]);
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr: expect.stringMatching(/^1 file: 1 answered, 0 failed, 0 skipped, \d+\.\d s\n$/),
  });

  const answer = JSON.parse(stdout);
  expect(answer).toMatchObject({ image: sample, width, height, model: "florence-2-nano" });
  expect(answer.tasks).toMatchObject([
    {
      name: "CAPTION",
      result: { type: "CaptionResult", text: expect.any(String), score: expect.any(Number) },
      provenance: { beams: 1 },
    },
    {
      name: "DESCRIBE_REGION",
      result: { type: "RegionTextResult", as: "DESCRIPTION", region: box },
    },
    { name: "READ_TEXT", result: { type: "OcrResult", regions: expect.any(Array) } },
  ]);

  const [before, after] = await Promise.all(
    [sample, out].map((file) =>
      sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true }),
    ),
  );
  expect(after?.info).toMatchObject({ width, height });
  const differs = (x: number, y: number) =>
    [0, 1, 2].some(
      (i) => before?.data[(y * width + x) * 3 + i] !== after?.data[(y * width + x) * 3 + i],
    );
  const edge = Array.from({ length: 20 }, (_, i) => differs(box.x0, box.y0 + 100 + i));
  expect(edge).not.toContain(false);
});

test("a picture never takes the place of an image", async () => {
  const { code, stderr } = await vedere([
    "analyze",
    join(folder, "a.png"),
    "--out",
    join(folder, "a.png"),
  ]);
  expect({ code, stderr }).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("would be written over"),
  });
});

test("a pulled model is the new default, is verified, and is found out when a file changes", async () => {
  const hub = await startFakeHub();
  const data = join(folder, "pulled");
  mkdirSync(data);
  try {
    const pulled = await vedere(
      ["models", "pull", "florence-2-base-ft", "--precision", "fp32", "--data", data],
      {
        HF_ENDPOINT: hub.endpoint,
      },
    );
    expect(pulled).toMatchObject({ code: 0, stdout: expect.stringContaining(hub.commit) });
  } finally {
    await hub.close();
  }
  const listed = JSON.parse((await vedere(["models", "list", "--json", "--data", data])).stdout);
  expect(listed).toMatchObject([
    { id: "florence-2-base-ft", isDefault: true, precision: "fp32" },
    { id: "florence-2-nano", isDefault: false },
  ]);
  expect(await vedere(["models", "verify", "florence-2-base-ft", "--data", data])).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^OK/),
  });

  const graph = "onnx/embed_tokens.onnx";
  writeFileSync(join(data, "models/florence-2-base-ft", graph), "no graph");
  const { code, stdout } = await vedere(["models", "verify", "florence-2-base-ft", "--data", data]);
  expect(code).toBe(1);
  expect(stdout).toContain(`${graph} has changed`);
  expect(stdout).toContain(`${graph} does not open`);
}, 120_000); // five processes, one after the other

test("doctor finds this machine fit, and leaves nothing behind", async () => {
  const data = join(folder, "untouched");
  const { code, stdout } = await vedere(["doctor", "--json", "--data", data, "--port", "0"]);
  const findings: { name: string; status: string; detail: string }[] = JSON.parse(stdout);
  expect(findings.filter(({ status }) => status === "FAIL")).toEqual([]);
  expect(findings.map(({ name }) => name)).toEqual([
    "Node.js",
    "npm packages",
    "ONNX Runtime",
    "image library",
    "model",
    "all models",
    "workers",
    "data folder",
    "database",
    "disk",
    "port",
  ]);
  expect(findings.find(({ name }) => name === "ONNX Runtime")?.detail).toMatch(/usable here: cpu/);
  expect(code).toBe(0);
  expect(readdirSync(folder)).not.toContain("untouched");
});

test("doctor exits 1 with a fix where something cannot work", async () => {
  const data = join(folder, "damaged");
  mkdirSync(data);
  writeFileSync(join(data, "secret.key"), "not a secret\n");
  const { code, stdout } = await vedere(["doctor", "--data", data, "--port", "0"], {
    VEDERE_EXECUTION_PROVIDERS: "coreml",
  });
  expect(code).toBe(1);
  expect(stdout).toMatch(
    /FAIL {2}ONNX Runtime .*not: .*coreml.*\n +fix: VEDERE_EXECUTION_PROVIDERS names coreml/,
  );
  expect(stdout).toMatch(/FAIL {2}data folder .*secret\.key.*\n +fix: /);
});
