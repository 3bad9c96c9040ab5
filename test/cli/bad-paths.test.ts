import {
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
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { runCommandLine } from "../../cli/program.ts";
import { exitOf, outputUntil, startVedere, vedere } from "./vedere.ts";

// A test's own process has a parent too, which the command line must not leave.
vi.mock("../../cli/parent.ts", () => ({
  hasParent: () => false,
  tellParent() {},
  onOrphaned() {},
  leaveParent() {},
}));

const root = join(import.meta.dirname, "../..");
const sample = join(root, "models/samples/harbour.jpg");
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "vedere-bad-paths-"));
  mkdirSync(join(folder, "data"));
  mkdirSync(join(folder, "empty"));
  writeFileSync(join(folder, "file"), "a file");
  symlinkSync("loop", join(folder, "loop"));
});

afterAll(() => rmSync(folder, { recursive: true }));

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

/** Runs the command line in this process: the tables below are too long for processes. */
async function run(args: readonly string[]) {
  let stderr = "";
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    stderr += String(text);
    return true;
  });
  vi.spyOn(process.stdout, "write").mockImplementation(() => true);
  const argv = process.argv;
  process.argv = [argv[0] ?? "", "vedere", ...args];
  try {
    await runCommandLine();
  } finally {
    process.argv = argv;
  }
  return { code: process.exitCode, stderr };
}

/** What commands are given where they want a file or a folder. */
const kinds: Readonly<Record<string, () => string>> = {
  "a missing path": () => join(folder, "missing"),
  "a path through a file": () => join(folder, "file", "x"),
  "a link to itself": () => join(folder, "loop"),
  "a path through a link to itself": () => join(folder, "loop", "x"),
  "a name that is too long": () => join(folder, "x".repeat(300)),
};

/** Every command that has a data folder, and what else it needs. */
const onData = [
  ["worker"],
  ["deliver"],
  ["link"],
  ["analyze", sample],
  ["models", "list"],
  ["models", "pull", "florence-2-base-ft"],
  ["models", "build", "checkpoint"],
  ["models", "compare", "florence-2-nano", "florence-2-nano"],
  ["models", "alias", "a", "florence-2-nano"],
  ["models", "unalias", "a"],
  ["models", "publish", "florence-2-nano"],
  ["models", "verify"],
  ["tenants", "create", "x"],
  ["tenants", "list"],
  ["tenants", "disable", "ten_x"],
  ["tenants", "enable", "ten_x"],
  ["tenants", "limits", "ten_x"],
  ["keys", "create", "ten_x", "--name", "x"],
  ["keys", "list", "ten_x"],
  ["keys", "reroll", "key_x"],
  ["keys", "revoke", "key_x"],
  ["audit", "list"],
  ["audit", "export"],
  ["backup", "made-by-a-mistake"],
];

test.each(onData)(
  "vedere %s %s makes no data folder, and says where it looked",
  async (...args) => {
    const before = readdirSync(folder).sort();
    for (const [kind, pathOf] of Object.entries(kinds)) {
      const { code, stderr } = await run([...args.filter(Boolean), "--data", pathOf()]);
      expect(stderr, kind).toContain(pathOf());
      expect(stderr, kind).toMatch(/^error: .*data folder.*\nfix: .*--data or VEDERE_DATA/);
      expect(stderr, kind).not.toMatch(/\bE[A-Z]{3,}\b/);
      expect(code, kind).toBe(2);
    }
    expect(readdirSync(folder).sort()).toEqual(before);
  },
);

/** Every other argument that is a path; `at` is the bad one. */
const onPaths: Readonly<Record<string, (at: string) => string[]>> = {
  "analyze an image": (at) => ["analyze", at],
  "analyze --out": (at) => ["analyze", sample, "-t", "caption", "--out", `${at}/x.png`],
  "models build": (at) => ["models", "build", at, "--id", "x"],
  "models build --base": (at) => ["models", "build", join(folder, "empty"), "--base", at],
  "models build --images": (at) => ["models", "build", join(folder, "empty"), "--images", at],
  "models compare": (at) => ["models", "compare", `${at}/`, "florence-2-nano"],
  "models compare --images": (at) => [
    ...["models", "compare", "florence-2-nano", "florence-2-nano"],
    ...["--images", at],
  ],
  restore: (at) => ["restore", at],
};

test.each(Object.keys(onPaths))(
  "%s with a bad path says what is wrong and what to do",
  async (name) => {
    for (const [kind, pathOf] of Object.entries(kinds)) {
      if (name === "analyze --out" && kind === "a missing path") continue; // is made
      const args = onPaths[name]?.(pathOf()) ?? [];
      const { code, stderr } = await run([...args, "--data", join(folder, "data")]);
      expect(stderr, kind).toMatch(/fix: \S/);
      expect(stderr, kind).not.toContain("--debug");
      expect(stderr, kind).not.toMatch(/\bE[A-Z]{3,}: |\n {4}at /);
      expect([1, 2], kind).toContain(code);
    }
  },
);

test("start makes a new data folder and says so, but none above it", async () => {
  const fresh = join(folder, "fresh");
  const service = startVedere(["start", "--data", fresh, "--port", "0", "--workers", "0"]);
  expect(await outputUntil(service, "Try it")).toContain(`Made a new data folder at ${fresh}\n`);
  service.kill("SIGTERM");
  await exitOf(service);

  const again = startVedere(["start", "--data", fresh, "--port", "0", "--workers", "0"]);
  expect(await outputUntil(again, "Try it")).not.toContain("new data folder");
  again.kill("SIGTERM");
  await exitOf(again);

  const nested = join(folder, "mistyped", "data");
  const refused = await vedere(["start"], { VEDERE_DATA: nested, VEDERE_PORT: "0" });
  expect(refused.stderr).toBe(
    `error: The data folder ${nested} cannot be made: there is no folder ${join(folder, "mistyped")}.\n` +
      `fix: Make ${join(folder, "mistyped")} first, or choose another with --data or VEDERE_DATA.\n`,
  );
  expect(refused.code).toBe(2);
  expect(existsSync(join(folder, "mistyped"))).toBe(false);
});

test("VEDERE_DATA counts as --data does", async () => {
  const missing = join(folder, "missing");
  const { code, stderr } = await vedere(["keys", "list", "ten_x"], { VEDERE_DATA: missing });
  expect(stderr).toMatch(`error: There is no data folder at ${missing}.\nfix: `);
  expect(code).toBe(2);
});

test("a port of /metrics that is taken is told in words", async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const address = other.address();
  const port = typeof address === "object" && address ? String(address.port) : "";
  try {
    const data = join(folder, "data");
    const { code, stderr } = await vedere(["deliver", "--data", data], {
      VEDERE_METRICS_PORT: port,
    });
    expect(stderr).toMatch(/^error: .*\nfix: /m);
    expect(stderr).toContain(port);
    expect(stderr).not.toMatch(/EADDRINUSE: /);
    expect(code).not.toBe(0);
  } finally {
    other.close();
  }
});
