import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packageRoot } from "../adapters/package-root.ts";

export interface OpenService {
  readonly url: string;
  /** Of the local tenant: an operator's. */
  readonly key: string;
  readonly dataDir: string;
  close(): Promise<void>;
}

/** The built service on loopback, on a folder of its own. */
export async function openService(
  workers: number,
  settings: Readonly<Record<string, string>> = {},
): Promise<OpenService> {
  const dataDir = mkdtempSync(join(tmpdir(), "vedere-bench-"));
  const service = spawn(
    process.execPath,
    [
      join(packageRoot(), "dist/cli/main.js"),
      "start",
      "--port",
      "0",
      "--data",
      dataDir,
      "--workers",
      String(workers),
    ],
    { stdio: ["ignore", "pipe", "inherit"], env: { VEDERE_LOG_LEVEL: "warn", ...settings } },
  );
  const close = async () => {
    const ended = new Promise((resolve) => service.once("exit", resolve));
    service.kill("SIGTERM");
    await ended;
    rmSync(dataDir, { recursive: true });
  };
  const url = await addressOf(service);
  return { url, key: readFileSync(join(dataDir, "local.key"), "utf8").trim(), dataDir, close };
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
