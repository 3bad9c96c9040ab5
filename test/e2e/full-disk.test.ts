import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { freePort } from "../api/start.ts";
import { picture } from "../picture.ts";

const cli = join(import.meta.dirname, "../../dist/cli/main.js");

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vedere-full-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

interface Running {
  readonly child: ChildProcess;
  readonly url: string;
  readonly key: string;
}

/**
 * Starts a command that ends as `vedere gateway` on a data folder; its key stands in what it
 * prints.
 */
async function started(command: string, args: readonly string[]): Promise<Running> {
  const port = await freePort();
  const child = spawn(command, args, {
    env: { ...process.env, VEDERE_PORT: String(port) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGTERM");
    await once(child, "exit");
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
  const found = (pattern: RegExp) => pattern.exec(text)?.[0] ?? "";
  await expect
    .poll(() => `${found(/curl .*/)}${child.exitCode ?? ""}`, { timeout: 60_000 })
    .toContain("curl");
  return { child, url: `http://127.0.0.1:${port}`, key: found(/vdr_live_\w+/) };
}

const create = `mutation ($input: RunCreateInput!) {
  runCreate(input: $input) { run { id } userErrors { code message } } }`;

/** The run's id, or the code of the error. */
async function submit({ url, key }: Running, metadata = "x".repeat(8_000)): Promise<string> {
  const source = { base64: (await picture()).toString("base64") };
  const input = { source, tasks: [{ caption: {} }], metadata };
  const response = await fetch(`${url}/graphql`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ query: create, variables: { input } }),
  });
  const { data, errors } = (await response.json()) as {
    data?: { runCreate?: { run?: { id: string } } };
    errors?: { extensions: { code: string } }[];
  };
  return data?.runCreate?.run?.id ?? errors?.[0]?.extensions.code ?? "nothing";
}

async function readiness({ url }: Running): Promise<readonly [number, string]> {
  const response = await fetch(`${url}/readyz`);
  const { reasons } = (await response.json()) as { reasons: string[] };
  return [response.status, reasons.join(" ")];
}

const inSeconds = { timeout: 15_000, interval: 300 };

test("a process that may write no longer to its files says so, refuses runs, and goes on when it may again", async () => {
  const at = await started(process.execPath, [cli, "gateway", "--data", folder]);
  const limit = (bytes: string) =>
    execFileSync("prlimit", ["--pid", String(at.child.pid), `--fsize=${bytes}:`]);
  expect(await submit(at)).toMatch(/^run_/);
  expect(await readiness(at)).toEqual([200, ""]);
  limit("0");
  await expect.poll(() => readiness(at), inSeconds).toEqual([503, expect.stringContaining(folder)]);
  expect((await readiness(at))[1]).toMatch(/Free some space|Look for disk errors/);
  expect(await submit(at)).toBe("STORE_UNAVAILABLE");
  expect((await fetch(`${at.url}/healthz`)).status).toBe(200);
  limit("unlimited");
  await expect.poll(() => readiness(at), inSeconds).toEqual([200, ""]);
  expect(await submit(at)).toMatch(/^run_/);
}, 120_000);

/** A new mount namespace: as root, or as root of a user namespace where that is allowed. */
const unshare = [["-m"], ["-Urm"]].find(
  (flags) =>
    spawnSync("unshare", [...flags, "mount", "-t", "tmpfs", "tmpfs", tmpdir()]).status === 0,
);

describe.skipIf(unshare === undefined)("on a file system of 8 MB", () => {
  test("a full disk is told at /readyz, runs are refused, and all goes on when there is space", async () => {
    const disk = join(folder, "disk");
    mkdirSync(disk);
    const script = `mount -t tmpfs -o size=8m tmpfs "${disk}" && exec "${process.execPath}" "${cli}" gateway --data "${disk}/data"`;
    const at = await started("unshare", [...(unshare ?? []), "sh", "-c", script]);
    const filler = join(`/proc/${at.child.pid}/root`, disk, "filler");
    expect(await submit(at)).toMatch(/^run_/);
    expect(() => writeFileSync(filler, Buffer.alloc(16_000_000))).toThrow("ENOSPC");
    const refused = async () => {
      for (let i = 0; i < 200; i += 1) {
        const id = await submit(at);
        if (!id.startsWith("run_")) return id;
      }
      return "never";
    };
    expect(await refused()).toBe("STORE_UNAVAILABLE");
    await expect
      .poll(() => readiness(at), inSeconds)
      .toEqual([503, expect.stringContaining("full")]);
    const [, reason] = await readiness(at);
    expect(reason).toContain(join(disk, "data"));
    expect(reason).toContain("Free some space");
    rmSync(filler);
    await expect.poll(() => readiness(at), inSeconds).toEqual([200, ""]);
    expect(await submit(at)).toMatch(/^run_/);
  }, 120_000);
});
