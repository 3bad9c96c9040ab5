import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exitOf, outputUntil, startVedere, vedere } from "./vedere.ts";

const sample = join(import.meta.dirname, "../../models/samples/harbour.jpg");
const cheap = ["-t", "caption", "--beams", "1", "--max-tokens", "4"];
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "vedere-analyze-"));
  mkdirSync(join(folder, "data"));
});

afterAll(() => rmSync(folder, { recursive: true }));

function analyze(...args: string[]) {
  return vedere(["analyze", ...cheap, "--data", join(folder, "data"), ...args]);
}

function newFolder(name: string): string {
  const made = join(folder, name);
  mkdirSync(made);
  return made;
}

const linesOf = (text: string) => text.split("\n").filter((line) => line !== "");
const summaryOf = (stderr: string) => linesOf(stderr).at(-1);

test("of a folder every image is answered, a bad one fails alone, and all else is skipped", async () => {
  const photos = newFolder("photos");
  for (const name of ["a.jpg", "-b.JPG", "c\nd.jpg"]) copyFileSync(sample, join(photos, name));
  writeFileSync(join(photos, "corrupt.jpg"), "no image");
  writeFileSync(join(photos, "empty.png"), "");
  symlinkSync("nowhere.jpg", join(photos, "broken.jpg"));
  symlinkSync("loop.jpg", join(photos, "loop.jpg"));
  symlinkSync(".", join(photos, "again"));
  symlinkSync(".", join(photos, "again.jpg"));
  mkdirSync(join(photos, "folder.jpg"));
  writeFileSync(join(photos, "notes.txt"), "no image");
  execFileSync("mkfifo", [join(photos, "pipe.jpg")]);
  const server = createServer().listen(join(photos, "socket.jpg"));
  try {
    const { code, stdout, stderr } = await analyze("--json", photos);
    expect(summaryOf(stderr)).toMatch(/^8 files: 3 answered, 5 failed, 5 skipped, \d+\.\d s$/);
    const failures = linesOf(stderr).slice(0, -1);
    expect(failures.map((line) => line.replace(`${photos}/`, "").replace(/fix:.*/, "fix"))).toEqual(
      [
        "failed: again.jpg: SOURCE_UNSUPPORTED: A folder is no image file. fix",
        `failed: broken.jpg: SOURCE_UNREACHABLE: ${photos}/broken.jpg does not exist. fix`,
        expect.stringMatching(/^failed: corrupt\.jpg: SOURCE_UNSUPPORTED: .* fix$/),
        "failed: empty.png: SOURCE_CORRUPT: The file is empty. fix",
        expect.stringMatching(
          /^failed: loop\.jpg: SOURCE_UNREACHABLE: .* leads back to itself\. fix/,
        ),
      ],
    );
    const answers = linesOf(stdout).map((line) => JSON.parse(line));
    expect(answers).toHaveLength(8); // one a file, those that failed included
    const answered = answers.filter(({ width }) => width !== null).map(({ image }) => image);
    expect(answered).toEqual(["-b.JPG", "a.jpg", "c\nd.jpg"].map((name) => join(photos, name)));
    for (const { width, tasks } of answers.filter((answer) => answer.width === null))
      expect({ width, tasks }).toMatchObject({ tasks: [{ name: "CAPTION", error: {} }] });
    expect(code).toBe(1);
  } finally {
    server.close();
  }
});

test("files and folders mix, a file counts once, and pictures of one name get numbers", async () => {
  const [one, two] = [newFolder("one"), newFolder("two")];
  for (const place of [join(one, "x.jpg"), join(two, "x.jpg"), join(two, "X.jpeg")])
    copyFileSync(sample, place);
  const out = join(folder, "out");
  const once = join(one, "x.jpg");
  const { code, stdout, stderr } = await analyze(once, one, two, once, "--out", out);
  expect(summaryOf(stderr)).toMatch(/^3 files: 3 answered, 0 failed, 2 skipped, /);
  const names = readdirSync(out).sort();
  expect(names.map((name) => name.toLowerCase())).toEqual(["x-2.png", "x-3.png", "x.png"]);
  for (const name of names) expect(stdout).toContain(`→ ${join(out, name)}`);
  expect(code).toBe(0);
});

test.each([
  ["a missing file", () => "missing.jpg", 1, /^failed: \S+: SOURCE_UNREACHABLE: .*does not exist/],
  ["a file through a file", () => "plain.jpg/x.jpg", 1, /SOURCE_UNREACHABLE: .*is no folder/],
  ["a name that is too long", () => `${"x".repeat(300)}.jpg`, 1, /is too long a name/],
  ["a folder without images", () => "empty", 2, /^error: There are no images in [^\n]*\nfix: /],
])("%s is told with its fix", async (_what, nameOf, exitCode, message) => {
  mkdirSync(join(folder, "empty"), { recursive: true });
  writeFileSync(join(folder, "plain.jpg"), "");
  const { code, stdout, stderr } = await analyze(join(folder, nameOf()));
  expect(stderr).toMatch(message);
  expect(stderr).toMatch(/fix: /);
  expect({ code, stdout }).toEqual({ code: exitCode, stdout: "" });
});

test("an address of the web is refused with the way", async () => {
  const { code, stderr } = await analyze("https://example.com/a.jpg");
  expect(stderr).toMatch(/^error: .*is an address[^\n]*\nfix: Download it first/);
  expect(code).toBe(2);
});

test("where a picture cannot be written, the answers are still printed", async () => {
  const out = join(folder, "no-folder");
  writeFileSync(out, "a file");
  const { code, stdout, stderr } = await analyze(sample, "--out", `${out}/`);
  expect(stdout).toMatch(/harbour\.jpg {2}\d+×\d+ {2}florence-2-nano {2}\d+ ms\ncaption /);
  expect(stderr).toMatch(/^failed: \S+harbour\.jpg: INTERNAL: .* fix: /);
  expect(code).toBe(1);
});

test("an output that is full is told", async () => {
  if (!existsSync("/dev/full")) return;
  const entry = join(import.meta.dirname, "../../dist/cli/main.js");
  const script = `"${process.execPath}" "${entry}" --help > /dev/full; echo "exit $?"`;
  const { stdout, stderr } = await runShell(script);
  expect(stderr).toMatch(/^error: The output cannot be written: the disk is full\.\nfix: .*\n$/);
  expect(stdout).toBe("exit 1\n");
});

async function runShell(script: string) {
  const { spawnSync } = await import("node:child_process");
  return spawnSync("sh", ["-c", script], { encoding: "utf8" });
}

test("Ctrl-C prints the summary so far and exits 130", async () => {
  const many = newFolder("many");
  for (let i = 0; i < 200; i += 1) symlinkSync(sample, join(many, `${i}.jpg`));
  const child = startVedere(["analyze", many, "--data", join(folder, "data")]);
  let stderr = "";
  child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  await outputUntil(child, "florence-2-nano");
  child.kill("SIGINT");
  expect(await exitOf(child)).toBe(130);
  expect(summaryOf(stderr)).toMatch(/^interrupted: 200 files: [1-9]\d* answered, 0 failed, /);
});
