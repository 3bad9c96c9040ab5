import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import sharp from "sharp";
import { packageRoot } from "../adapters/package-root.ts";
import { deepPng, scansBomb, zeroPng } from "./hostile-files.ts";
import { type OpenService, openService } from "./open-service.ts";

// What hostile images do to others, at the door: one gateway, no worker, everything on loopback.
// Exits 1 if a target is missed.
const targets = { ratio: 3, peakMb: 500, healthMs: 100 };
const small = readFileSync(join(packageRoot(), "models/samples", "harbour.jpg"));
const settings = { VEDERE_UNFINISHED_RUNS: "1000000" };
const query =
  "mutation ($input: RunCreateInput!) { runCreate(input: $input) { run { id } userErrors { code } } }";

/** Files that a header refuses, and files that are as dear as a header may say. */
const wide = zeroPng({ width: 7_071, height: 7_071, depth: 8, colorType: 6, interlaced: true });
const kinds: readonly Buffer[] = [
  scansBomb(),
  scansBomb({ side: 4_960, scans: 95 }),
  scansBomb({ components: 1, scans: 95 }),
  deepPng(),
  wide,
];
/** A number makes each a file of its own. */
const hostile = (count: number, first = 0) =>
  Array.from({ length: count }, (_, i) =>
    unlike(kinds[(first + i) % kinds.length] ?? small, first + i),
  );

const facts = [await beside(), await peak(), await health()];
console.log("| what | figure | target |\n|---|---|---|");
for (const { what, figure, target } of facts) console.log(`| ${what} | ${figure} | ${target} |`);
if (facts.some(({ isMet }) => !isMet)) process.exitCode = 1;

interface Fact {
  readonly what: string;
  readonly figure: string;
  readonly target: string;
  readonly isMet: boolean;
}

/** A small image at a time, alone and while ten hostile ones are always under way. */
async function beside(): Promise<Fact> {
  const service = await openService(0, settings);
  try {
    const times = async (count: number, first: number) => {
      const all: number[] = [];
      for (let i = 0; i < count; i += 1) {
        const started = performance.now();
        const code = await submit(service, unlike(small, first + i));
        if (code !== "taken") throw new Error(`A small image was not taken: ${code}`);
        all.push(performance.now() - started);
        await pause(20);
      }
      return all;
    };
    await times(20, 0); // the first ones start a decoder
    const alone = await times(200, 1_000);
    const stopped = new AbortController();
    let sent = 0;
    const attack = async () => {
      while (!stopped.signal.aborted) await submit(service, hostile(1, sent++)[0] ?? small);
    };
    const attacks = Array.from({ length: 10 }, attack);
    await pause(2_000);
    const among = await times(200, 2_000);
    stopped.abort();
    await Promise.all(attacks);
    const [idle, busy] = [percentile(alone, 0.99), percentile(among, 0.99)];
    return {
      what: `a small image beside ten hostile files (${sent} in all), p50 ${percentile(alone, 0.5).toFixed(0)} → ${percentile(among, 0.5).toFixed(0)} ms, p99 ${idle.toFixed(0)} → ${busy.toFixed(0)} ms`,
      figure: (busy / idle).toFixed(2),
      target: `≤ ${targets.ratio} × idle`,
      isMet: busy <= targets.ratio * idle,
    };
  } finally {
    await service.close();
  }
}

/**
 * The memory of the gateway and its decoders together, at its highest, with eight hostile files at
 * once, three times.
 */
async function peak(): Promise<Fact> {
  const service = await openService(0, settings);
  try {
    await submit(service, small);
    const watch = watchMemory(service);
    for (let round = 0; round < 3; round += 1)
      await Promise.all(hostile(8, 100 * round).map((file) => submit(service, file)));
    await Promise.all(
      Array.from({ length: 8 }, (_, i) => submit(service, unlike(wide, 1_000 + i))),
    );
    const { all, gateway } = watch.end();
    return {
      what: `peak RSS of the gateway (${gateway.toFixed(0)} MB) and its decoders under 8 hostile files at once, MB`,
      figure: all.toFixed(0),
      target: `≤ ${targets.peakMb}`,
      isMet: all <= targets.peakMb,
    };
  } finally {
    await service.close();
  }
}

/** /healthz every 10 ms while 32 photographs come at once. */
async function health(): Promise<Fact> {
  const service = await openService(0, settings);
  try {
    const create = { width: 4_000, height: 3_000, channels: 3 } as const;
    const noise = { type: "gaussian", mean: 128, sigma: 30 } as const;
    const photograph = await sharp({ create: { ...create, background: "#888", noise } })
      .jpeg({ quality: 79 })
      .toBuffer();
    const bodies = Array.from({ length: 32 }, (_, i) => bodyOf(unlike(photograph, i)));
    await submit(service, small);
    const asker = askHealth(`${service.url}/healthz`);
    await pause(1_000);
    const started = performance.now();
    const codes = await Promise.all(bodies.map((body) => send(service, body)));
    const seconds = (performance.now() - started) / 1_000;
    const times = await asker.end();
    const taken = codes.filter((code) => code === "taken").length;
    const p99 = percentile(times, 0.99);
    return {
      what: `/healthz while 32 JPEGs of ${(photograph.length / 1e6).toFixed(1)} MB come as base64 (${taken} taken in ${seconds.toFixed(1)} s; ${times.length} asked, max ${Math.max(...times).toFixed(0)} ms), p99, ms`,
      figure: p99.toFixed(0),
      target: `< ${targets.healthMs}`,
      isMet: p99 < targets.healthMs && taken === 32,
    };
  } finally {
    await service.close();
  }
}

/**
 * Asks every 10 ms, from a thread of its own: sending large bodies holds this one. `end` gives how
 * long each answer took, in milliseconds.
 */
function askHealth(url: string): { end(): Promise<number[]> } {
  const thread = new Worker(
    `const { parentPort, workerData: url } = require("node:worker_threads");
    let isDone = false;
    parentPort.once("message", () => (isDone = true));
    (async () => {
      const times = [];
      while (!isDone) {
        const started = performance.now();
        await (await fetch(url)).text();
        times.push(performance.now() - started);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      parentPort.postMessage(times);
    })();`,
    { eval: true, workerData: url },
  );
  return {
    async end() {
      thread.postMessage("end");
      const [times] = await once(thread, "message");
      return times;
    },
  };
}

/** "taken", or the code of why not. */
function submit(service: OpenService, file: Buffer): Promise<string> {
  return send(service, bodyOf(file));
}

function bodyOf(file: Buffer): string {
  const input = { source: { base64: file.toString("base64") }, tasks: [{ caption: {} }] };
  return JSON.stringify({ query, variables: { input } });
}

async function send(service: OpenService, body: string): Promise<string> {
  const response = await fetch(`${service.url}/graphql`, {
    method: "POST",
    headers: { authorization: `Bearer ${service.key}`, "content-type": "application/json" },
    body,
  });
  const answer = (await response.json()) as {
    data?: { runCreate: { userErrors: { code: string }[] } };
  };
  if (!answer.data) throw new Error(JSON.stringify(answer));
  return answer.data.runCreate.userErrors[0]?.code ?? "taken";
}

/** A file with another sha256: nobody reads what stands behind the end. */
function unlike(file: Buffer, number: number): Buffer {
  return Buffer.concat([file, Buffer.from(`number ${number}`)]);
}

/** Looks every 5 ms at the service's gateway and what it started, in /proc. */
function watchMemory(service: OpenService): { end(): { all: number; gateway: number } } {
  const highest = { all: 0, gateway: 0 };
  const timer = setInterval(() => {
    const sizes = processes();
    const gateway = sizes.find(
      ({ command }) => command.includes(service.dataDir) && command.includes("gateway"),
    );
    if (!gateway) return;
    const decoders = sizes.filter(({ parent }) => parent === gateway.pid);
    highest.gateway = Math.max(highest.gateway, gateway.mb);
    highest.all = Math.max(
      highest.all,
      [gateway, ...decoders].reduce((sum, { mb }) => sum + mb, 0),
    );
  }, 5);
  return {
    end() {
      clearInterval(timer);
      return highest;
    },
  };
}

function processes(): { pid: number; parent: number; command: string; mb: number }[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const status = readFileSync(`/proc/${pid}/status`, "utf8");
        const number = (pattern: RegExp) => Number(pattern.exec(status)?.[1] ?? 0);
        return {
          pid: Number(pid),
          parent: number(/^PPid:\s+(\d+)/m),
          command: readFileSync(`/proc/${pid}/cmdline`, "utf8"),
          mb: number(/^VmRSS:\s+(\d+)/m) / 1_000,
        };
      } catch {
        return []; // it has ended
      }
    });
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}
