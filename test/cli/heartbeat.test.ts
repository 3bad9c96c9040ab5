import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { heartbeatFd } from "../../cli/heartbeat.ts";

const built = pathToFileURL(join(import.meta.dirname, "../../dist/cli/heartbeat.js")).href;
const limitMs = 300;

/** A process with a heartbeat, whose parts move and end as it is told on stdin. */
const program = `
import { createInterface } from "node:readline";
import { startHeartbeat } from "${built}";
const parts = ["main thread", "sweeper"].map((name) => ({ name, limitMs: ${limitMs} }));
const heartbeat = startHeartbeat(50, parts);
let moving;
const orders = {
  move: () => (moving ??= setInterval(() => heartbeat.moved("sweeper"), 50)),
  rest: () => (moving = void clearInterval(moving)),
  end: () => heartbeat.ended("sweeper"),
  spin: () => { for (const end = Date.now() + 3_000; Date.now() < end; ); },
};
createInterface({ input: process.stdin }).on("line", (order) => orders[order]());
`;

let folder: string;
let child: ChildProcess;
let beats: string[];
beforeEach(() => {
  beats = [];
  const pipes = Array.from({ length: heartbeatFd + 1 }, () => "pipe" as const);
  folder = mkdtempSync(join(tmpdir(), "vedere-heartbeat-"));
  writeFileSync(join(folder, "program.mjs"), program);
  child = spawn(process.execPath, [join(folder, "program.mjs")], { stdio: pipes });
  const input = child.stdio[heartbeatFd] as Readable;
  createInterface({ input }).on("line", (line) => beats.push(line));
});
afterEach(() => {
  child.kill("SIGKILL");
  rmSync(folder, { recursive: true });
});

const tell = (order: string) => child.stdin?.write(`${order}\n`);
const nextBeats = (count: number) => {
  const from = beats.length;
  return expect
    .poll(() => beats.length, { timeout: 20_000 })
    .toBeGreaterThanOrEqual(from + count)
    .then(() => beats.slice(from, from + count));
};
const named = (part: string) =>
  expect.poll(() => beats.includes(part), { timeout: 20_000, interval: 20 }).toBe(true);

test("a part that has not moved yet is not watched: what it waits for may take long", async () => {
  await nextBeats(2);
  expect(await nextBeats((3 * limitMs) / 50)).not.toContain("sweeper");
});

test("a part that stops moving is named, for as long as it stands still", async () => {
  tell("move");
  await nextBeats(5);
  expect(beats).not.toContain("sweeper");
  tell("rest");
  await named("sweeper");
  tell("move");
  await expect.poll(() => beats.at(-1), { timeout: 20_000 }).toBe("");
});

test("a part that has ended is not missed", async () => {
  tell("move");
  await nextBeats(5);
  tell("rest");
  tell("end");
  await nextBeats(1);
  expect(await nextBeats((3 * limitMs) / 50)).not.toContain("sweeper");
});

test("a main thread that is held is named by the thread that beats on", async () => {
  await nextBeats(2);
  tell("spin");
  await named("main thread");
});
