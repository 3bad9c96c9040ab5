import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { expect, onTestFinished, test } from "vitest";
import { readConfig } from "../../adapters/config.ts";
import { connect } from "../../adapters/connect.ts";
import { packageRoot } from "../../adapters/package-root.ts";
import type { Run, RunTask } from "../../core/run.ts";
import { newRun } from "../core/new-run.ts";
import { picture } from "./florence2/fixtures.ts";

const longTask: RunTask = {
  name: "PROMPT",
  input: {
    text: "What is the text in the image?",
    grammar: "TEXT",
    options: { beams: 8, maxTokens: 200, lengthPenalty: 9 },
  },
  outcome: null,
};

test("of a worker that is killed in the middle of a batch, another one finishes all runs, each once", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "vedere-killed-"));
  const ports = await connect(readConfig({}, { dataDir }));
  const submit = async (i: number): Promise<Run> => {
    const bytes = await picture(i);
    const image = {
      id: `img_${i}`,
      sha256: `${i}`,
      mediaType: "image/png",
      byteSize: bytes.length,
      width: 160,
      height: 120,
    } as const;
    const tasks = Array.from({ length: 4 }, () => longTask);
    const run = newRun({
      id: `run_${i}`,
      image,
      tasks,
      createdAt: Date.now(),
      expiresAt: Date.now() + 60_000,
    });
    await ports.images.put(run.tenantId, image, bytes);
    await ports.runs.create(run, null);
    await ports.queue.send({ version: 1, tenantId: run.tenantId, runId: run.id });
    return run;
  };
  const runs = await Promise.all([0, 1, 2, 3, 4].map(submit));
  const statuses = async () =>
    (await Promise.all(runs.map((run) => ports.runs.get(run.tenantId, run.id)))).map(
      (run) => run?.status,
    );

  const program = await bundle();
  const first = startWorker(program, dataDir);
  await expect
    .poll(statuses, { timeout: 20_000, interval: 5 })
    .toEqual(runs.map(() => "PROCESSING"));
  await kill(first);
  expect(await statuses()).toEqual(runs.map(() => "PROCESSING"));

  const second = startWorker(program, dataDir);
  await expect.poll(statuses, { timeout: 60_000 }).toEqual(runs.map(() => "SUCCEEDED"));
  for (const run of runs)
    expect((await ports.runs.get(run.tenantId, run.id))?.attempt).toBeGreaterThan(1);
  await expect.poll(() => ports.queue.depth()).toMatchObject({ visible: 0, inFlight: 0, dead: 0 });
  await kill(second);
  await ports.close();
  rmSync(dataDir, { recursive: true });
}, 90_000);

/**
 * Node 20 runs no TypeScript: the program becomes one script, which finds its packages from the
 * working directory, and the embedded model and onnx.proto from what it takes for its own place.
 */
async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(packageRoot(), "test/inference/worker-process.ts")],
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    define: {
      "import.meta.url": JSON.stringify(
        pathToFileURL(join(packageRoot(), "inference/build/onnx/read.ts")).href,
      ),
    },
    write: false,
  });
  return outputFiles[0]?.text ?? "";
}

function startWorker(program: string, dataDir: string): ChildProcess {
  const child = spawn(process.execPath, ["--input-type=module", "-", dataDir], {
    cwd: packageRoot(),
    stdio: ["pipe", "inherit", "inherit"],
  });
  child.stdin?.end(program);
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}
