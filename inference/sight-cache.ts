import type { Sight } from "../core/ports.ts";

/**
 * Which features are meant: another tenant's same bytes are another image, and a model that was
 * replaced by another sees anew.
 */
export interface SightKey {
  readonly tenantId: string;
  /** Of the image file's bytes. */
  readonly sha256: string;
  /** As in HeldModel: names the weights. */
  readonly model: string;
}

/** What was seen lately, in memory. */
export interface SightCache {
  get(key: SightKey): Sight | null;
  put(key: SightKey, sight: Sight): void;
}

/**
 * Keeps sights whose features take `bytesMax` bytes together; those that were used longest ago give
 * way. 0 keeps none.
 */
export function openSightCache(bytesMax: number): SightCache {
  const kept = new Map<string, Sight>(); // the first is the one that was used longest ago
  let bytes = 0;

  const drop = (name: string) => {
    bytes -= bytesOf(kept.get(name));
    kept.delete(name);
  };
  return {
    get(key) {
      const name = nameOf(key);
      const sight = kept.get(name);
      if (!sight) return null;
      kept.delete(name);
      kept.set(name, sight);
      return sight;
    },
    put(key, sight) {
      const name = nameOf(key);
      drop(name);
      if (bytesOf(sight) > bytesMax) return;
      kept.set(name, sight);
      bytes += bytesOf(sight);
      for (const oldest of kept.keys()) {
        if (bytes <= bytesMax) return;
        drop(oldest);
      }
    },
  };
}

function nameOf({ tenantId, sha256, model }: SightKey): string {
  return JSON.stringify([tenantId, sha256, model]);
}

/** The whole buffer: where the features are a view, the rest of it is held too. */
function bytesOf(sight: Sight | undefined): number {
  return sight?.features.buffer.byteLength ?? 0;
}
