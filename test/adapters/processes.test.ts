import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { build } from "esbuild";
import { expect, onTestFinished, test } from "vitest";
import { readConfig } from "../../adapters/config.ts";
import { connect } from "../../adapters/connect.ts";
import { packageRoot } from "../../adapters/package-root.ts";

test("processes that start at once on an empty folder share one store, and take each message exactly once", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "vedere-processes-"));
  const built = mkdtempSync(join(packageRoot(), "dist", "processes-")); // where packages are found
  onTestFinished(() => {
    for (const folder of [dataDir, built]) rmSync(folder, { recursive: true });
  });
  const program = join(built, "worker-process.mjs");
  await bundle(program);
  const children = [1, 2, 3].map(() => spawnWith(program, dataDir));
  const outputs = children.map(({ stdout }) =>
    createInterface({ input: stdout ?? process.stdin })[Symbol.asyncIterator](),
  );
  const nextLines = () =>
    Promise.all(outputs.map(async (output) => String((await output.next()).value)));

  const secrets = await nextLines();
  const ports = await connect(readConfig({}, { dataDir }));
  expect(new Set([...secrets, ports.secret]).size).toBe(1);

  const sent = Array.from({ length: 150 }, (_, i) => `run_${i}`);
  for (const runId of sent)
    await ports.queue.send({ version: 1, tenantId: `ten_${runId.length}`, runId });
  await expect
    .poll(() => ports.queue.depth(), { timeout: 20_000 })
    .toEqual({ visible: 0, inFlight: 0, dead: 0, oldestAgeMs: 0 });
  for (const { stdin } of children) stdin?.end();
  const taken: string[] = (await nextLines()).flatMap((line) => JSON.parse(line));
  expect(taken.sort()).toEqual([...sent].sort());
  expect(await Promise.all(children.map(exitCode))).toEqual([0, 0, 0]);
  await ports.close();
});

/** Node 20 runs no TypeScript: the program becomes one script. */
async function bundle(outfile: string): Promise<void> {
  await build({
    entryPoints: [join(packageRoot(), "test/adapters/worker-process.ts")],
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    define: { "import.meta.url": JSON.stringify(new URL(import.meta.url).href) },
    outfile,
  });
}

function spawnWith(program: string, dataDir: string): ChildProcess {
  return spawn(process.execPath, [program, dataDir], {
    cwd: packageRoot(),
    stdio: ["pipe", "pipe", "inherit"],
  });
}

async function exitCode(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null) await once(child, "exit");
  return child.exitCode;
}
