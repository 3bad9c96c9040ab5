import { AppError } from "../core/errors.ts";
import type { Size } from "../schema/geometry.ts";
import { type DecodeQueue, decodeQueue, isLarge } from "./decode-queue.ts";
import type { Decode } from "./decode-whole.ts";
import {
  type DecodeOutcome,
  type DecoderProcess,
  type DecoderSettings,
  decoderFile,
  startDecoder,
} from "./decoder-process.ts";
import type { ImageHeader } from "./header.ts";

export interface Decoders {
  /**
   * Rejects with AppError: what `decodeWhole` says, SOURCE_TOO_LARGE beyond time or memory,
   * SOURCE_CORRUPT where the process died of it, RATE_LIMITED.
   */
  readonly decode: Decode;
  /** Ends the processes; images in progress are finished first, those that wait are refused. */
  close(): Promise<void>;
  /** Images that wait, and processes that are there. */
  state(): { readonly waiting: number; readonly processes: number };
}

export interface DecodersSetup extends Partial<DecoderSettings> {
  /** How many processes there are at most. Of several, one is kept for cheap images. */
  readonly count: number;
  readonly onDecode?: (decode: { readonly outcome: DecodeOutcome; readonly ms: number }) => void;
}

const defaults: DecoderSettings = {
  file: decoderFile,
  deadlineMs: 10_000,
  rssMax: 400e6,
  rssKept: 120e6,
  inheritsEnvironment: false,
};
const anyImage = { onlyCheap: false, noLarge: false };
/** What may wait; more is refused, because nobody waits that long. */
const waitingBytesMax = 256e6;

interface Job {
  readonly bytes: Uint8Array;
  readonly header: ImageHeader;
  readonly at: number;
  resolve(size: Size): void;
  reject(error: unknown): void;
}

interface Slot {
  process: DecoderProcess | null;
  job: Job | null;
  readonly onlyCheap: boolean;
}

/**
 * A few processes that decode images, started when they are first needed. A process that takes too
 * long or too much memory is killed with its image, and another one takes its place.
 */
export function openDecoders({ count, onDecode = () => {}, ...given }: DecodersSetup): Decoders {
  const settings = { ...defaults, ...given };
  const queue: DecodeQueue<Job> = decodeQueue();
  const slots = Array.from({ length: count }, (_, i): Slot => {
    return { process: null, job: null, onlyCheap: count > 1 && i === 0 };
  });
  let waitingBytes = 0;
  let isClosed = false;
  let onIdle = () => {};

  function startNext(): void {
    for (const slot of slots) {
      if (slot.job) continue;
      const noLarge = slots.some(({ job }) => job && isLarge(job.header));
      const job = queue.take({ onlyCheap: slot.onlyCheap, noLarge });
      if (job) void work(slot, job);
    }
    if (isClosed && slots.every(({ job }) => job === null)) onIdle();
  }

  async function work(slot: Slot, job: Job): Promise<void> {
    slot.job = job;
    waitingBytes -= job.bytes.byteLength;
    let outcome: DecodeOutcome = "crash"; // it could not even be started
    try {
      if (!slot.process?.isAlive()) slot.process = startDecoder(settings);
      const done = await slot.process.decode(job.bytes);
      outcome = done.outcome;
      if (done.outcome === "decoded") job.resolve(done.size);
      else job.reject(done.error);
    } catch (error) {
      job.reject(error);
    }
    onDecode({ outcome, ms: performance.now() - job.at });
    slot.job = null;
    startNext();
  }

  return {
    decode(bytes, header) {
      if (isClosed) return Promise.reject(tooBusy());
      if (waitingBytes + bytes.byteLength > waitingBytesMax) return Promise.reject(tooBusy());
      return new Promise<Size>((resolve, reject) => {
        waitingBytes += bytes.byteLength;
        queue.add(
          { bytes, header, at: performance.now(), resolve, reject },
          header,
          performance.now(),
        );
        startNext();
      });
    },
    async close() {
      isClosed = true;
      for (let job = queue.take(anyImage); job; job = queue.take(anyImage)) job.reject(tooBusy());
      await new Promise<void>((resolve) => {
        onIdle = resolve;
        startNext();
      });
      for (const { process } of slots) process?.end();
    },
    state: () => ({
      waiting: queue.length,
      processes: slots.filter(({ process }) => process?.isAlive()).length,
    }),
  };
}

function tooBusy(): AppError {
  return new AppError("RATE_LIMITED", "Too many images wait to be decoded at the moment.", {
    fix: "Send it again a little later.",
    retryAfterMs: 2_000,
  });
}
