import { EventEmitter } from "node:events";
import { type FSWatcher, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { makeFolder } from "./disk.ts";

/**
 * Watching a folder is best effort on every system: so long does a listener wait at most before it
 * looks by itself.
 */
const lookEveryMs = 500;
/**
 * Topics share this many files, so that the folder stays small; listeners of another topic in the
 * same file look once in vain.
 */
const slotCount = 64;

/** Tells listeners, in this and in other processes, that something about a topic has changed. */
export interface Bell {
  /** To be called after the change is committed. Never throws. */
  ring(topic: string): void;
  /**
   * Calls `look` now and after each ring of the topic until it finds something, and gives what it
   * found; null after `waitMs`, and, without another look, once aborted or closed.
   */
  wait<T>(
    topic: string,
    look: () => T | null,
    until: { waitMs: number; signal?: AbortSignal | undefined },
  ): Promise<T | null>;
  close(): void;
}

/**
 * Opens the bell of a folder, which all processes share that opened the same one; without a folder
 * it rings in this process only. A ring writes one small file; listeners watch the folder.
 */
export function openBell(folder: string | null): Bell {
  const rings = new EventEmitter().setMaxListeners(0);
  const watcher = folder === null ? null : watchFolder(folder, (slot) => rings.emit(slot));
  let closed = false;
  return {
    ring(topic) {
      const slot = slotOf(topic);
      rings.emit(slot);
      if (folder !== null) touch(join(folder, slot));
    },
    async wait(topic, look, { waitMs, signal }) {
      const deadline = performance.now() + waitMs;
      while (!closed && !signal?.aborted) {
        const found = look();
        const leftMs = deadline - performance.now();
        if (found !== null || leftMs <= 0) return found;
        await nextRing(rings, slotOf(topic), { waitMs: Math.min(leftMs, lookEveryMs), signal });
      }
      return null;
    },
    close() {
      closed = true;
      watcher?.close();
      for (const slot of rings.eventNames()) rings.emit(slot);
    },
  };
}

function slotOf(topic: string): string {
  return String(crc32(topic) % slotCount);
}

/** Resolves at the next ring, after `waitMs`, or on abort. The signal is not aborted yet. */
function nextRing(
  rings: EventEmitter,
  slot: string,
  until: { waitMs: number; signal?: AbortSignal | undefined },
): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      rings.off(slot, done);
      until.signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, until.waitMs);
    rings.on(slot, done);
    until.signal?.addEventListener("abort", done);
  });
}

/**
 * Null where the system cannot watch (no inotify instances left, some network folders): listeners
 * then look every `lookEveryMs`.
 */
function watchFolder(folder: string, heard: (slot: string) => void): FSWatcher | null {
  makeFolder(folder);
  try {
    const watcher = watch(
      folder,
      { persistent: false },
      (_event, slot) => slot !== null && /^\d+$/.test(slot) && heard(slot), // an emitter throws at "error"
    );
    return watcher.on("error", () => watcher.close());
  } catch {
    return null;
  }
}

/**
 * The change itself is committed: a full disk must not make its writer fail, it only makes
 * listeners wait `lookEveryMs`.
 */
function touch(path: string): void {
  try {
    writeFileSync(path, ".", { mode: 0o600 });
  } catch {}
}
