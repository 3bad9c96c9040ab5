import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";

const entry = join(import.meta.dirname, "../../dist/cli/main.js");

/** Starts the built command line, with none of this machine's settings. */
export function startVedere(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): ChildProcess {
  const clean = Object.entries(process.env).filter(([name]) => !/^(VEDERE|HF)_/.test(name));
  return spawn(process.execPath, [entry, ...args], {
    env: { ...Object.fromEntries(clean), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Runs it to its end. */
export async function vedere(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = startVedere(args, env);
  const [stdout, stderr, code] = await Promise.all([
    readAll(child.stdout),
    readAll(child.stderr),
    exitOf(child),
  ]);
  return { stdout, stderr, code };
}

/** The exit code; null where a signal ended it. */
export function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) =>
    child.once("error", reject).once("exit", (code) => resolve(code)),
  );
}

/**
 * Everything that a running process has written until a text stands in it. Rejects where it ends
 * before.
 */
export function outputUntil(child: ChildProcess, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes(text)) resolve(output);
    });
    child.once("exit", (code) =>
      reject(new Error(`It ended with ${code} before it wrote ${text}: ${output}`)),
    );
  });
}

async function readAll(stream: NodeJS.ReadableStream | null): Promise<string> {
  let text = "";
  for await (const chunk of stream ?? []) text += chunk.toString();
  return text;
}
