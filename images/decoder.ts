import { writeFileSync, writeSync } from "node:fs";
import sharp from "sharp";
import { AppError } from "../core/errors.ts";
import { decodeWhole } from "./decode-whole.ts";
import type { DecoderAnswer } from "./decoder-process.ts";
import { checkHeader } from "./header.ts";
import { restrictLoaders } from "./loaders.ts";

// The program of a decoder process: reads files from stdin, each with its length before it (4
// bytes, big-endian), and writes a line of JSON for each to stdout. It ends with its stdin, also
// where the parent was killed, and ends itself beyond the memory in its first argument (bytes).

const rssMax = Number(process.argv[2]);
/** How often it looks at its memory. */
const lookMs = 10;

restrictLoaders();
sharp.cache(false);
sharp.concurrency(1);
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => {}); // the parent ends it, when it needs it no more
preferForKilling();
setInterval(() => {
  if (process.memoryUsage.rss() > rssMax) end({ outOfMemory: true });
}, lookMs).unref();

let waiting: Buffer[] = [];
let byteCount = 0;
process.stdin.on("data", (chunk: Buffer) => {
  waiting.push(chunk);
  byteCount += chunk.length;
  takeFile();
});
process.stdin.on("end", () => end());
process.stdin.on("error", () => end());
answer({ isReady: true });

/** Decodes the file that has come whole; there is one at a time. */
function takeFile(): void {
  if (byteCount < 4) return;
  if ((waiting[0]?.length ?? 0) < 4) waiting = [Buffer.concat(waiting)];
  const length = waiting[0]?.readUInt32BE(0) ?? 0;
  if (byteCount < 4 + length) return;
  const bytes = Buffer.concat(waiting).subarray(4, 4 + length);
  waiting = [];
  byteCount = 0;
  decode(bytes).then(answer, (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
    end();
  });
}

async function decode(bytes: Buffer): Promise<DecoderAnswer> {
  try {
    return { size: await decodeWhole(bytes, checkHeader(bytes)), rss: process.memoryUsage.rss() };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const { code, message, fix } = error;
    return { error: { code, message, fix }, rss: process.memoryUsage.rss() };
  }
}

/** At once, so that the last line is out before the process ends. */
function answer(line: DecoderAnswer): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

/** Without waiting for a thread that decodes, as process.exit would. */
function end(last?: DecoderAnswer): void {
  try {
    if (last) answer(last);
  } finally {
    process.kill(process.pid, "SIGKILL");
  }
}

/** Where memory is short, Linux ends this process before others. */
function preferForKilling(): void {
  try {
    writeFileSync("/proc/self/oom_score_adj", "1000");
  } catch {} // another system
}
