import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packageRoot } from "../adapters/package-root.ts";

export interface ServiceFigures {
  readonly runsPerSecond: number;
  readonly milliseconds: Record<string, number[]>;
}

const document = `mutation ($input: RunCreateInput!) {
  runCreate(input: $input) {
    run { id status image { id } timings { decodeMs pixelsMs visionMs } tasks { timings { encodeMs generateMs parseMs } } }
    userErrors { code message }
  }
}`;

/**
 * The whole service on loopback: `alone` runs one after the other (what the service adds to the engine's own time), then `together` runs
 * by 8 clients (runs per second). Every run is caption + detectObjects + readText on the same stored image.
 */
export async function benchService(image: Uint8Array, plan: { workers: number; alone: number; together: number }): Promise<ServiceFigures> {
  const dataDir = mkdtempSync(join(tmpdir(), "vedere-bench-"));
  const service = spawn(
    process.execPath,
    [join(packageRoot(), "dist/cli/main.js"), "start", "--port", "0", "--data", dataDir, "--workers", String(plan.workers)],
    { stdio: ["ignore", "pipe", "inherit"], env: { VEDERE_LOG_LEVEL: "warn" } },
  );
  try {
    const url = await addressOf(service);
    const key = readFileSync(join(dataDir, "local.key"), "utf8").trim();
    const first = await runOnce({ url, key, source: { base64: Buffer.from(image).toString("base64") } });
    const source = { imageId: first.imageId };
    const milliseconds: Record<string, number[]> = { "whole request": [], "engine's part": [], "the service's own": [] };
    for (let i = -3; i < plan.alone; i += 1) {
      const run = await runOnce({ url, key, source });
      if (i < 0) continue;
      milliseconds["whole request"]?.push(run.totalMs);
      milliseconds["engine's part"]?.push(run.engineMs);
      milliseconds["the service's own"]?.push(run.totalMs - run.engineMs);
    }
    const started = performance.now();
    let left = plan.together;
    const client = async () => {
      while (left-- > 0) await runOnce({ url, key, source });
    };
    await Promise.all(Array.from({ length: 8 }, client));
    return { runsPerSecond: plan.together / ((performance.now() - started) / 1_000), milliseconds };
  } finally {
    const ended = new Promise((resolve) => service.once("exit", resolve));
    service.kill("SIGTERM");
    await ended;
    rmSync(dataDir, { recursive: true });
  }
}

function addressOf(service: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    service.stdout?.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      const url = /http:\/\/127\.0\.0\.1:\d+/.exec(text)?.[0];
      if (url && text.includes("curl")) resolve(url);
    });
    service.once("exit", (code) => reject(new Error(`vedere start ended with ${code}`)));
  });
}

interface Answer {
  readonly image: { readonly id: string };
  readonly status: string;
  readonly timings: { readonly decodeMs: number; readonly pixelsMs: number; readonly visionMs: number };
  readonly tasks: readonly { readonly timings: { readonly encodeMs: number; readonly generateMs: number; readonly parseMs: number } }[];
}

async function runOnce(to: { url: string; key: string; source: object }) {
  const input = { source: to.source, tasks: [{ caption: {} }, { detectObjects: {} }, { readText: {} }], waitMs: 60_000 };
  const started = performance.now();
  const response = await fetch(`${to.url}/graphql`, {
    method: "POST",
    headers: { authorization: `Bearer ${to.key}`, "content-type": "application/json" },
    body: JSON.stringify({ query: document, variables: { input } }),
  });
  const body = (await response.json()) as { data?: { runCreate?: { run?: Answer } } };
  const totalMs = performance.now() - started;
  const run = body.data?.runCreate?.run;
  if (run?.status !== "SUCCEEDED") throw new Error(`A run did not succeed: ${JSON.stringify(body)}`);
  const { decodeMs, pixelsMs, visionMs } = run.timings;
  const shared = (pick: (timings: Answer["tasks"][number]["timings"]) => number) =>
    Math.max(...run.tasks.map((task) => pick(task.timings)));
  const parseMs = run.tasks.reduce((sum, task) => sum + task.timings.parseMs, 0);
  const engineMs = decodeMs + pixelsMs + visionMs + shared((t) => t.encodeMs) + shared((t) => t.generateMs) + parseMs;
  return { imageId: run.image.id, totalMs, engineMs };
}
