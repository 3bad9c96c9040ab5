import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { afterAll, beforeAll, expect, test } from "vitest";
import { examples } from "../../cli/examples.ts";
import { buildProgram } from "../../cli/program.ts";
import { vedere } from "./vedere.ts";

const root = join(import.meta.dirname, "../..");
const sample = join(root, "models/samples/harbour.jpg");
/** Any warning of Node, of ours or of a library then ends the process or shows on stderr. */
const strict = { NODE_OPTIONS: "--throw-deprecation --trace-warnings" };
let folder: string;
let data: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "vedere-examples-"));
  data = join(folder, "data");
  mkdirSync(data);
});

afterAll(() => rmSync(folder, { recursive: true }));

/** The words of a shell line, up to a redirection, a pipe or a comment. */
function wordsOf(line: string): string[] {
  const words = line.match(/"[^"]*"|'[^']*'|[^\s"']+/g) ?? [];
  const end = words.findIndex((word) => /^([>|#;]|&&)/.test(word));
  return words
    .slice(0, end === -1 ? undefined : end)
    .map((word) => word.replace(/^["']|["']$/g, ""));
}

/**
 * Parses a line as the command line would, without doing what it says. Returns the command's path.
 */
async function parse(line: string): Promise<string> {
  const [, ...args] = wordsOf(line);
  const program = await buildProgram(args);
  let reached: string | null = null;
  const stop = (command: Command, path: readonly string[]) => {
    command.exitOverride().configureOutput({ writeErr: () => {} });
    if (command.commands.length === 0) {
      command.action(() => {
        reached = path.join(" ");
      });
    }
    for (const child of command.commands) stop(child, [...path, child.name()]);
  };
  stop(program, []);
  await program.parseAsync(args, { from: "user" });
  return reached ?? "";
}

function leavesOf(command: Command, path: readonly string[] = []): [string, Command][] {
  if (command.commands.length === 0) return [[path.join(" "), command]];
  return command.commands.flatMap((child) => leavesOf(child, [...path, child.name()]));
}

test("every command's help shows an example of that command, which parses", async () => {
  const ofOthers = ["try-provider", "check-database"]; // doctor runs them
  const leaves = leavesOf(await buildProgram([])).filter(([path]) => !ofOthers.includes(path));
  expect(leaves.map(([path]) => path).sort()).toEqual(Object.keys(examples).sort());
  for (const [path, command] of leaves) {
    let help = "";
    const writeOut = (text: string) => {
      help += text;
    };
    command.configureOutput({ writeOut }).outputHelp();
    const lines = [...help.matchAll(/^ {2}\$ (.*)$/gm)].map(([, line = ""]) => line);
    expect(lines, path).toEqual(examples[path]);
    for (const line of lines) expect(await parse(line), line).toBe(path);
  }
}, 120_000); // loads every command

const documents = [
  "README.md",
  "models/training/README.md",
  ...readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

test.each(documents)("every command that %s shows parses", async (name) => {
  const text = readFileSync(join(root, name), "utf8").replaceAll("…", "x").replace(/ N\b/g, " 1");
  const blocks = [...text.matchAll(/^ {4}(?:npm ci && )?(?:npx )?(vedere .*)$/gm)];
  const inline = [...text.matchAll(/`(?:npx )?(vedere [^`|]*)`/g)];
  const names = Object.keys(examples);
  for (const [, line = ""] of [...blocks, ...inline]) {
    const path = wordsOf(line).slice(1).join(" ");
    if (names.some((known) => `${known} `.startsWith(`${path} `))) continue; // named in a sentence
    expect(await parse(line), line).not.toBe("");
  }
});

test("what README shows of harbour.jpg is what analyze answers", async () => {
  const tasks = ["-t", "caption", "-t", "detect-objects"];
  const { stdout, code } = await vedere(["analyze", sample, ...tasks, "--json", "--data", data]);
  expect(code).toBe(0);
  const [caption, detection] = JSON.parse(stdout).tasks;
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const [, text = "", score = ""] =
    /"result": \{ "text": "(.*)", "score": ([\d.]+) \}/.exec(readme) ?? [];
  expect(caption.result.text).toBe(text);
  expect(caption.result.score).toBeCloseTo(Number(score), 2);
  const [, shown = ""] = /\{ ("label": "boat".*?\} )\}/.exec(readme) ?? [];
  const boat = JSON.parse(`{${shown}}`);
  expect(detection.result.objects[0].label).toBe("boat");
  expect(detection.result.objects[0].score).toBeCloseTo(boat.score, 2);
  for (const side of ["x0", "y0", "x1", "y1"])
    expect(detection.result.objects[0].box[side]).toBeCloseTo(boat.box[side], 0);
});

/**
 * Runs an example of help as it stands, in the sample's repository, with ids in the place of words.
 */
async function run(line: string, ids: Readonly<Record<string, string>> = {}) {
  const args = wordsOf(line)
    .slice(1)
    .map((word) => ids[word] ?? word.replace("models/samples", join(root, "models/samples")))
    .map((word) => (word === "annotated/" ? join(folder, "annotated/") : word));
  const { stdout, stderr, code } = await vedere([...args, "--data", data], strict);
  expect(stderr, line).not.toMatch(/warning|deprecat|error|\n {4}at /i);
  expect(code, line).toBe(0);
  return stdout;
}

const example = (path: string, i = 0) => examples[path]?.[i] ?? "";

test("the examples of tenants, keys and the audit log run, without a warning", async () => {
  const [TENANT_ID = ""] = /ten_\w+/.exec(await run(example("tenants create"))) ?? [];
  const created = await run(example("keys create"), { TENANT_ID });
  expect(created).toMatch(/vdr_\w+/);
  const listed = await run(example("keys list"), { TENANT_ID });
  const [KEY_ID = ""] = /^\s*(\w{8,})/m.exec(listed)?.slice(1) ?? [];
  await run(example("keys reroll"), { KEY_ID });
  await run(example("keys revoke"), { KEY_ID });
  await run(example("tenants limits"), { TENANT_ID });
  expect(await run(example("tenants list"))).toContain("Grace & Co");
  await run(example("tenants disable"), { TENANT_ID });
  await run(example("tenants enable"), { TENANT_ID });
  expect(await run(example("tenants delete"), { TENANT_ID })).toContain("being deleted");
  expect(await run(example("audit list"))).toContain("apiKey.create");
  expect(await run(example("audit export"), { TENANT_ID })).toContain("tenant.create");
}, 240_000);

test("the examples of analyze, models, link and doctor run, and their answers are true", async () => {
  expect(await run(example("analyze"))).toContain("a boat, a bird, a fish");
  expect(JSON.parse(await run(example("analyze", 2))).tasks[0].result.text).toBe("a boat");
  await run(example("analyze", 1));
  expect(readdirSync(join(folder, "annotated"))).toHaveLength(6);
  await run(example("models list"));
  await run(example("models alias"));
  await run(example("models unalias"));
  await run(example("models verify"));
  await run(example("link"));
  const { stderr } = await vedere(["doctor", "--data", data], strict);
  expect(stderr).toBe("");
}, 240_000);

test("commands on AWS print no warning of the SDK", async () => {
  const { stderr } = await vedere(["models", "publish", "florence-2-nano", "--data", data], {
    ...strict,
    ...{ VEDERE_AWS_MODEL_BUCKET: "b", AWS_REGION: "eu-west-1", AWS_MAX_ATTEMPTS: "1" },
    ...{ AWS_ACCESS_KEY_ID: "x", AWS_SECRET_ACCESS_KEY: "y" },
    AWS_ENDPOINT_URL_S3: "http://127.0.0.1:9",
  });
  expect(stderr).toMatch(/^error: /m);
  expect(stderr).not.toMatch(/NodeVersionSupport|Warning:/);
}, 60_000);
