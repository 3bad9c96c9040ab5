/** What batches of about one size cost lately. */
interface Cost {
  /** The largest number of items that counts as this size. */
  readonly size: number;
  /** Milliseconds of one item, an exponentially weighted mean. */
  readonly itemMs: number;
  /** The number of the batch that measured it last. */
  readonly batch: number;
}

/** How many items one batch should take, learned from what batches took. */
export interface BatchSize {
  /** At least 1. */
  max(): number;
  note(items: number, ms: number): void;
}

/** The weight of a new measurement. */
const newest = 0.25;
/**
 * A size that was found too dear is tried again after so many batches: one slow moment must not
 * rule it out for good.
 */
const forgottenAfter = 64;

/**
 * Sizes are powers of two. The largest is right up to which an item became cheaper each time that
 * the size grew and the batch stayed under `batchMsMax`; the next larger one is tried when nobody
 * knows it yet, if it would stay under the bound even at the same cost of an item.
 */
export function openBatchSize(bounds: { itemsMax: number; batchMsMax: number }): BatchSize {
  const { itemsMax, batchMsMax } = bounds;
  const costs = new Map<number, Cost>();
  let batches = 0;

  const fits = (size: number, itemMs: number) => size * itemMs <= batchMsMax;
  const isForgotten = (cost: Cost) => batches - cost.batch > forgottenAfter;
  return {
    max() {
      let best: Cost | null = null;
      for (const cost of [...costs.values()].sort((a, b) => a.size - b.size)) {
        if (best && !(cost.itemMs < best.itemMs && fits(cost.size, cost.itemMs))) {
          return Math.min(
            itemsMax,
            isForgotten(cost) && fits(cost.size, best.itemMs) ? cost.size : best.size,
          );
        }
        best = cost;
      }
      if (!best) return 1;
      const next = 2 * best.size;
      return Math.min(itemsMax, fits(next, best.itemMs) ? next : best.size);
    },
    note(items, ms) {
      const size = 2 ** Math.ceil(Math.log2(items));
      const known = costs.get(size);
      const former = known && !isForgotten(known) ? known.itemMs : ms / items;
      batches += 1;
      costs.set(size, { size, itemMs: former + newest * (ms / items - former), batch: batches });
    },
  };
}
