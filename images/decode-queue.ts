import type { ImageHeader } from "./header.ts";

/** What an image costs, by its header. */
export type DecodeCost = Pick<ImageHeader, "decodedBytes" | "work">;

/** Images that wait to be decoded: the cheap go before the dear, and nobody waits for ever. */
export interface DecodeQueue<Item> {
  add(item: Item, cost: DecodeCost, now: number): void;
  /**
   * The next for a process; `onlyCheap` for the one that is kept for such, `noLarge` while a large
   * image is being decoded.
   */
  take(rules: { readonly onlyCheap: boolean; readonly noLarge: boolean }): Item | null;
  readonly length: number;
}

/** An ordinary photograph is cheap: 16 million pixels, gone through once. */
export function isCheap({ work, decodedBytes }: DecodeCost): boolean {
  return work <= 16e6 && decodedBytes <= largeBytes;
}

/** Of large images one is decoded at a time. */
export function isLarge({ decodedBytes }: DecodeCost): boolean {
  return decodedBytes > largeBytes;
}

const largeBytes = 64e6;
/** About what one process goes through in a millisecond. */
const pixelsPerMs = 50_000;
/** What an image costs more than this counts no more: its decoding would be ended. */
const costMsMax = 10_000;
/** An image that costs a millisecond lets others pass that come so many milliseconds later. */
const patience = 4;

export function decodeQueue<Item>(): DecodeQueue<Item> {
  const entries: { item: Item; cost: DecodeCost; turn: number }[] = []; // by turn
  return {
    add(item, cost, now) {
      const turn = now + patience * Math.min(cost.work / pixelsPerMs, costMsMax);
      const at = entries.findIndex((entry) => entry.turn > turn);
      entries.splice(at < 0 ? entries.length : at, 0, { item, cost, turn });
    },
    take({ onlyCheap, noLarge }) {
      const at = entries.findIndex(
        ({ cost }) => !(onlyCheap && !isCheap(cost)) && !(noLarge && isLarge(cost)),
      );
      return at < 0 ? null : (entries.splice(at, 1)[0]?.item ?? null);
    },
    get length() {
      return entries.length;
    },
  };
}
