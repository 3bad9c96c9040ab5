import fc from "fast-check";
import { expect, test } from "vitest";
import { openBatchSize } from "../../inference/batch-size.ts";

/**
 * Batches as large as they may be, one after the other, on a machine where a batch takes
 * `cost(items)`; gives their sizes.
 */
function learn(
  cost: (items: number) => number,
  batches: number,
  bounds = { itemsMax: 24, batchMsMax: 5_000 },
): number[] {
  const size = openBatchSize(bounds);
  return Array.from({ length: batches }, () => {
    const items = size.max();
    size.note(items, cost(items));
    return items;
  });
}

test("nothing is known yet: one", () => {
  expect(openBatchSize({ itemsMax: 24, batchMsMax: 5_000 }).max()).toBe(1);
});

test("a batch grows while an item becomes cheaper", () => {
  expect(learn((items) => 10 + items, 7)).toEqual([1, 2, 4, 8, 16, 24, 24]);
});

test("a batch grows no further once an item costs more, and goes back to what was best", () => {
  const cost = (items: number) => (items <= 4 ? 10 + items : 100 * items);
  expect(learn(cost, 8)).toEqual([1, 2, 4, 8, 4, 4, 4, 4]);
});

test("where an item costs the same in any company, it goes alone", () => {
  expect(learn((items) => 10 * items, 5)).toEqual([1, 2, 1, 1, 1]);
});

test("a size that would break the bound at the known cost of an item is not tried", () => {
  expect(learn((items) => 1_500 + 400 * items, 5)).toEqual([1, 2, 4, 4, 4]);
  expect(learn((items) => 3_000 * items, 3)).toEqual([1, 1, 1]);
});

test("a slow moment does not rule a size out for good", () => {
  let isSlow = true;
  const sizes = learn((items) => (isSlow && items === 8 ? 1_000 : 10 + items), 5);
  expect(sizes).toEqual([1, 2, 4, 8, 4]);
  const later = learn((items) => {
    const ms = isSlow && items === 8 ? 1_000 : 10 + items;
    if (items === 8) isSlow = false;
    return ms;
  }, 80);
  expect(later.slice(4, 68).every((items) => items === 4)).toBe(true);
  expect(later.at(-1)).toBe(24);
});

test("calls that are larger than any batch so far teach as well", () => {
  const size = openBatchSize({ itemsMax: 24, batchMsMax: 5_000 });
  size.note(3, 30);
  expect(size.max()).toBe(8);
});

test("whatever batches take, the next one has between one item and all that fit", () => {
  const notes = fc.array(
    fc.record({
      items: fc.integer({ min: 1, max: 128 }),
      ms: fc.double({ min: 0, max: 1e6, noNaN: true }),
    }),
  );
  fc.assert(
    fc.property(notes, fc.integer({ min: 1, max: 24 }), (noted, itemsMax) => {
      const size = openBatchSize({ itemsMax, batchMsMax: 5_000 });
      for (const { items, ms } of noted) {
        size.note(items, ms);
        const max = size.max();
        expect(max).toBeGreaterThanOrEqual(1);
        expect(max).toBeLessThanOrEqual(itemsMax);
        expect(Number.isInteger(max)).toBe(true);
      }
    }),
  );
});
