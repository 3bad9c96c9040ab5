import { spawn } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { expect, onTestFinished, test, vi } from "vitest";
import { scansBomb, zeroPng } from "../../bench/hostile-files.ts";
import { decodeQueue } from "../../images/decode-queue.ts";
import { decoderFile } from "../../images/decoder-process.ts";
import { type DecodersSetup, openDecoders } from "../../images/decoders.ts";
import { checkHeader } from "../../images/header.ts";
import { picture } from "../picture.ts";

function open(setup: Partial<DecodersSetup> = {}) {
  const outcomes: string[] = [];
  const decoders = openDecoders({
    count: 1,
    onDecode: ({ outcome }) => outcomes.push(outcome),
    ...setup,
  });
  onTestFinished(() => decoders.close());
  const decode = (bytes: Uint8Array) => decoders.decode(bytes, checkHeader(bytes));
  return { ...decoders, decode, outcomes };
}

/** A JPEG that is honest by its header, and takes seconds to decode. */
const slow = () => scansBomb({ side: 4_960, scans: 95 });

/** The decoders that a process has started. */
function childrenOf(pid: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((other) => {
      try {
        const stat = readFileSync(`/proc/${other}/stat`, "utf8");
        const command = readFileSync(`/proc/${other}/cmdline`, "utf8");
        const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        return Number(parent) === pid && state !== "Z" && command.includes("decoder");
      } catch {
        return false; // it has ended
      }
    });
}

function isRunning(pid: number): boolean {
  try {
    return !/\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

test("processes decode, are started when they are needed, and are kept", async () => {
  const pool = open();
  expect(pool.state().processes).toBe(0);
  const png = await picture();
  for (let i = 0; i < 3; i += 1)
    expect(await pool.decode(png)).toEqual({ width: 320, height: 240 });
  const [child, ...others] = childrenOf(process.pid);
  expect(others).toEqual([]);
  expect(pool.state()).toEqual({ waiting: 0, processes: 1 });
  expect(readFileSync(`/proc/${child}/environ`, "utf8")).toBe(""); // no secrets
  expect(pool.outcomes).toEqual(["decoded", "decoded", "decoded"]);
});

test("what is wrong with a file is told as without a process, and harms no other", async () => {
  const pool = open();
  const jpeg = await sharp(await picture())
    .jpeg()
    .toBuffer();
  await expect(pool.decode(jpeg.subarray(0, jpeg.length / 2))).rejects.toMatchObject({
    code: "SOURCE_CORRUPT",
    fix: "Send the whole file again.",
  });
  expect(await pool.decode(jpeg)).toEqual({ width: 320, height: 240 });
});

test("an image that takes too long is ended, and the next one is decoded", async () => {
  const pool = open({ deadlineMs: 300 });
  const started = performance.now();
  await expect(pool.decode(slow())).rejects.toMatchObject({
    code: "SOURCE_TOO_LARGE",
    message: "The file took longer than 0.3 s to decode.",
  });
  expect(performance.now() - started).toBeLessThan(10_000);
  expect(await pool.decode(await picture())).toEqual({ width: 320, height: 240 });
  expect(pool.outcomes).toEqual(["deadline", "decoded"]);
});

test("an image that takes too much memory is ended, and the next one is decoded", async () => {
  const pool = open({ rssMax: 120e6 });
  const large = zeroPng({ width: 6_000, height: 6_000, depth: 8, colorType: 6, interlaced: true });
  await expect(pool.decode(large)).rejects.toMatchObject({
    code: "SOURCE_TOO_LARGE",
    message: "Decoding the file took more than 120 MB of memory.",
  });
  expect(await pool.decode(await picture())).toEqual({ width: 320, height: 240 });
  expect(pool.outcomes).toEqual(["memory", "decoded"]);
});

test("a process that holds much memory after an image gives it back by ending", async () => {
  const pool = open({ rssKept: 1 });
  for (let i = 0; i < 2; i += 1) await pool.decode(await picture());
  await vi.waitFor(() => expect(childrenOf(process.pid)).toEqual([]));
  expect(pool.outcomes).toEqual(["decoded", "decoded"]);
});

test.each(["SIGSEGV", "SIGKILL"] as const)(
  "a process that dies of %s fails its image only",
  async (signal) => {
    const pool = open();
    await pool.decode(await picture());
    const [child = 0] = childrenOf(process.pid);
    const [dear, next] = [pool.decode(slow()), pool.decode(await picture())];
    next.catch(() => {});
    setTimeout(() => process.kill(child, signal), 200);
    await expect(dear).rejects.toMatchObject({
      code: "SOURCE_CORRUPT",
      message: `The file could not be decoded: its decoder ended (${signal}).`,
    });
    expect(await next).toEqual({ width: 320, height: 240 });
  },
);

test("a process that cannot start is our fault, not the file's", async () => {
  const file = join(await mkdtemp(join(tmpdir(), "vedere-decoder-")), "broken.mjs");
  writeFileSync(file, "process.exit(3)");
  await expect(open({ file }).decode(await picture())).rejects.toMatchObject({
    code: "INTERNAL",
    cause: expect.objectContaining({ message: expect.stringContaining("exit code 3") }),
  });
});

test("small images pass large ones: they wait for none of them", async () => {
  const pool = open({ count: 2 });
  const order: string[] = [];
  const hostile = Array.from({ length: 4 }, () =>
    pool.decode(slow()).then(
      () => order.push("large"),
      () => order.push("large"),
    ),
  );
  const small = await picture();
  const passing = Array.from({ length: 6 }, () =>
    pool.decode(small).then(() => order.push("small")),
  );
  await Promise.all([...hostile, ...passing]);
  expect(order.slice(0, 6)).toEqual(new Array(6).fill("small"));
}, 60_000);

test("the queue goes by cost, but a dear image does not wait for ever", () => {
  const queue = decodeQueue<string>();
  const cheap = { work: 1e6, decodedBytes: 1e6 };
  const dear = { work: 50e6, decodedBytes: 200e6 };
  const all = { onlyCheap: false, noLarge: false };
  queue.add("dear", dear, 0);
  queue.add("soon after", cheap, 1_000);
  queue.add("long after", cheap, 60_000);
  expect(queue.take({ onlyCheap: true, noLarge: false })).toBe("soon after");
  queue.add("soon after", cheap, 1_000);
  expect(queue.take(all)).toBe("soon after");
  expect(queue.take({ ...all, noLarge: true })).toBe("long after");
  queue.add("long after", cheap, 60_000);
  expect([queue.take(all), queue.take(all), queue.take(all)]).toEqual(["dear", "long after", null]);
});

test("more than a bound may not wait", async () => {
  const pool = open();
  const file = Buffer.concat([await picture(), Buffer.alloc(19_000_000)]);
  const all = await Promise.allSettled(Array.from({ length: 20 }, () => pool.decode(file)));
  const refused = all.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.length).toBeLessThan(10);
  for (const error of refused)
    expect(error).toMatchObject({ code: "RATE_LIMITED", retryAfterMs: expect.any(Number) });
});

test("closing lets the images in progress end, and leaves no process", async () => {
  const pool = open({ count: 2 });
  await pool.decode(await picture());
  const images = [pool.decode(await picture()), pool.decode(slow())];
  await pool.close();
  expect(await Promise.all(images)).toMatchObject([{ width: 320 }, { width: 4_960 }]);
  await expect(pool.decode(await picture())).rejects.toMatchObject({ code: "RATE_LIMITED" });
  await vi.waitFor(() => expect(childrenOf(process.pid)).toEqual([]));
}, 60_000);

test("the processes end with the one that started them, even by SIGKILL and while they decode", async () => {
  const folder = await mkdtemp(join(tmpdir(), "vedere-decoder-"));
  writeFileSync(join(folder, "slow.jpg"), slow());
  const program = `
    import { readFileSync } from "node:fs";
    import { openDecoders } from ${JSON.stringify(decoderFile.replace("decoder.js", "decoders.js"))};
    import { checkHeader } from ${JSON.stringify(decoderFile.replace("decoder.js", "header.js"))};
    const bytes = readFileSync(${JSON.stringify(join(folder, "slow.jpg"))});
    const pool = openDecoders({ count: 1 });
    pool.decode(bytes, checkHeader(bytes)).catch(() => {});`;
  const parent = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: "ignore",
  });
  const [child = 0] = await vi.waitFor(
    () => {
      const children = childrenOf(parent.pid ?? 0);
      expect(children).toHaveLength(1);
      return children;
    },
    { timeout: 20_000, interval: 50 },
  );
  await vi.waitFor(() => expect(cpuTicks(child)).toBeGreaterThan(30), { timeout: 20_000 }); // it decodes
  parent.kill("SIGKILL");
  await vi.waitFor(() => expect(isRunning(child)).toBe(false), { timeout: 5_000, interval: 20 });
});

/** User time of a process, in hundredths of a second. */
function cpuTicks(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[11]);
}
