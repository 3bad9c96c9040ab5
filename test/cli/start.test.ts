import type { ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { exitOf, outputUntil, startVedere, vedere } from "./vedere.ts";

let data: string;
let started: ChildProcess[];

beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), "vedere-start-"));
  started = [];
});

afterEach(async () => {
  for (const child of started) child.kill("SIGKILL");
  rmSync(data, { recursive: true });
});

function start(...args: string[]): ChildProcess {
  const child = startVedere(["start", "--data", data, ...args]);
  started.push(child);
  return child;
}

/** Sends what a curl line says. */
async function send(line: string): Promise<{ status: number; body: unknown }> {
  const [, url = "", keyFile = "", bodyFile = ""] =
    /^curl -s (\S+) -H "authorization: Bearer \$\(cat (\S+)\)" .* -d @(\S+)$/.exec(line) ?? [];
  const headers = {
    authorization: `Bearer ${readFileSync(keyFile, "utf8").trim()}`,
    "content-type": "application/json",
  };
  const response = await fetch(url, { method: "POST", headers, body: readFileSync(bodyFile) });
  return { status: response.status, body: await response.json() };
}

const curlLine = (output: string) => /curl .*/.exec(output)?.[0] ?? "";

test("start prints a curl line that returns typed results, keeps its key, and stops without leaving a process behind", async () => {
  const child = start("--port", "0");
  let log = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    log += chunk.toString();
  });
  const output = await outputUntil(child, "Ready.");
  expect(output).toContain("florence-2-nano");
  const { status, body } = await send(curlLine(output));
  expect(status).toBe(200);
  expect(body).toMatchObject({
    data: {
      runCreate: {
        run: {
          status: "SUCCEEDED",
          tasks: [
            { name: "CAPTION", result: { text: expect.any(String) } },
            { name: "DETECT_OBJECTS", result: { objects: expect.any(Array) } },
          ],
        },
      },
    },
  });
  const keyFile = join(data, "local.key");
  const key = readFileSync(keyFile, "utf8").trim();
  expect(output).toContain(key);
  expect(statSync(keyFile).mode & 0o777).toBe(0o600);

  const port = /http:\/\/127\.0\.0\.1:(\d+)/.exec(output)?.[1] ?? "";
  const second = await vedere(["start", "--data", data, "--port", port]);
  expect(second).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(
      new RegExp(`Port ${port} of 127.0.0.1 is in use.\\nfix: .*--port`),
    ),
  });

  const workers = [...log.matchAll(/"worker":(\d+)/g)].map((match) => Number(match[1]));
  expect(workers.length).toBeGreaterThan(0);
  const exit = exitOf(child);
  child.kill("SIGTERM");
  expect(await exit).toBe(0);
  for (const pid of workers) expect(() => process.kill(pid, 0)).toThrow("ESRCH");

  const again = await outputUntil(start("--port", "0", "--workers", "0"), "curl ");
  expect(again).toContain("as before");
  expect(again).not.toContain(key);
  expect(readFileSync(keyFile, "utf8").trim()).toBe(key);
});

test("a worker that dies is started again, and workers end with their gateway even where that is killed", async () => {
  const child = start("--port", "0");
  const pids: number[] = [];
  const seen = new Promise<void>((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`start ended with ${code}`)));
    child.stderr?.on("data", (chunk: Buffer) => {
      for (const [, pid] of chunk
        .toString()
        .matchAll(/"worker":(\d+),"model":"[^"]+","revision":"[^"]+","msg":"ready"/g)) {
        pids.push(Number(pid));
        if (pids.length === 1) process.kill(Number(pid), "SIGKILL");
      }
      if (pids.length === 2) resolve();
    });
  });
  await seen;
  const [, second = 0] = pids;
  child.kill("SIGKILL");
  await expect.poll(() => isAlive(second), { timeout: 10_000 }).toBe(false);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test("/metrics adds up what the gateway and its workers count, and names no tenant", async () => {
  const port = await freePort();
  const child = startVedere(["start", "--data", data, "--port", "0", "--workers", "2"], {
    VEDERE_METRICS_PORT: String(port),
  });
  started.push(child);
  const output = await outputUntil(child, "Ready.");
  for (let i = 0; i < 3; i += 1) expect((await send(curlLine(output))).status).toBe(200);
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  expect(response.headers.get("content-type")).toContain("version=0.0.4");
  const text = await response.text();
  const value = (name: string) =>
    Number(
      text
        .split("\n")
        .find((line) => line.startsWith(`${name} `))
        ?.split(" ")[1],
    );
  expect(value('vedere_requests_total{path="/graphql",status="200"}')).toBe(3);
  expect(value('vedere_runs_total{status="SUCCEEDED"}')).toBe(3);
  expect(
    value('vedere_images_total{features="computed"}') +
      value('vedere_images_total{features="known"}'),
  ).toBe(3);
  expect(value('vedere_stage_seconds_count{stage="generate"}')).toBe(3);
  expect(value("vedere_tokens_total")).toBeGreaterThan(30);
  expect(value('vedere_queue_messages{state="visible"}')).toBe(0);
  expect(text).not.toContain("ten_local");
  expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(404);
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
