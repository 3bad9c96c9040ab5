import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const cli = join(import.meta.dirname, "../../dist/cli/main.js");

/**
 * The whole service as its users run it: a gateway process and workers, started from the built
 * command line on a folder of its own.
 */
export interface Service {
  readonly url: string;
  readonly key: string;
  readonly dataDir: string;
  /** Posts a GraphQL document; throws where the answer has top-level errors. */
  ask<Data>(query: string, variables?: object): Promise<Data>;
  /** Starts one more worker process. */
  startWorker(): ChildProcess;
  stop(): Promise<void>;
}

export async function startService(options: {
  workers: number;
  leaseMs?: number;
  env?: Readonly<Record<string, string>>;
  /** A data folder that the service starts on a copy of. */
  from?: string;
}): Promise<Service> {
  const dataDir = mkdtempSync(join(tmpdir(), "vedere-e2e-"));
  if (options.from) cpSync(options.from, dataDir, { recursive: true });
  const env = {
    ...process.env,
    ...(options.leaseMs ? { VEDERE_LEASE_MS: String(options.leaseMs) } : {}),
    ...options.env,
  };
  const children: ChildProcess[] = [];
  const run = (...args: string[]) => {
    const child = spawn(process.execPath, [cli, ...args], {
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    children.push(child);
    return child;
  };
  const gateway = run(
    "start",
    "--port",
    "0",
    "--data",
    dataDir,
    "--workers",
    String(options.workers),
  );
  const url = await addressOf(gateway);
  const key = readFileSync(join(dataDir, "local.key"), "utf8").trim();
  return {
    url,
    key,
    dataDir,
    async ask<Data>(query: string, variables: object = {}) {
      const response = await fetch(`${url}/graphql`, {
        method: "POST",
        headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
        body: JSON.stringify({ query, variables }),
      });
      const body = (await response.json()) as { data?: Data; errors?: unknown };
      if (!body.data || body.errors) throw new Error(JSON.stringify(body));
      return body.data;
    },
    startWorker: () => run("worker", "--data", dataDir),
    async stop() {
      await Promise.all(children.map(end));
      rmSync(dataDir, { recursive: true });
    },
  };
}

function addressOf(gateway: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const read = (chunk: Buffer) => {
      text += chunk.toString();
      const url = /http:\/\/127\.0\.0\.1:\d+/.exec(text)?.[0];
      if (url && text.includes("curl ")) resolve(url);
    };
    gateway.stdout?.on("data", read);
    gateway.stderr?.on("data", read);
    gateway.once("exit", (code) => reject(new Error(`vedere start ended with ${code}: ${text}`)));
  });
}

function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once("exit", () => resolve());
    child.kill("SIGTERM");
  });
}
