import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { build } from "esbuild";
import { expect, test } from "vitest";
import { readConfig } from "../../adapters/config.ts";
import { connect } from "../../adapters/connect.ts";
import { packageRoot } from "../../adapters/package-root.ts";

test("processes that start at once on an empty folder share one store, and take each message exactly once", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "vedere-processes-"));
  const program = await bundle();
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
  rmSync(dataDir, { recursive: true });
});

/**
 * Node 20 runs no TypeScript: the program becomes one script, which finds its packages and the
 * embedded model from the working directory.
 */
async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(packageRoot(), "test/adapters/worker-process.ts")],
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    external: ["*/open-aws.ts"], // never loaded here, and too long for a command line
    define: { "import.meta.url": JSON.stringify(new URL(import.meta.url).href) },
    write: false,
  });
  return outputFiles[0]?.text ?? "";
}

function spawnWith(program: string, dataDir: string): ChildProcess {
  return spawn(process.execPath, ["--input-type=module", "--eval", program, dataDir], {
    cwd: packageRoot(),
    stdio: ["pipe", "pipe", "inherit"],
  });
}

async function exitCode(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null) await once(child, "exit");
  return child.exitCode;
}
