import fc from "fast-check";
import { expect, test } from "vitest";
import { countForBatch } from "../../inference/request.ts";

const extents = fc.array(fc.record({ items: fc.integer({ min: 1, max: 16 }), rows: fc.integer({ min: 1, max: 128 }) }), {
  minLength: 1,
  maxLength: 20,
});
const room = fc.record({ items: fc.integer({ min: 1, max: 24 }), rows: fc.integer({ min: -24, max: 24 }) });

const sumOf = (of: readonly { items: number; rows: number }[]) => ({
  items: of.reduce((sum, { items }) => sum + items, 0),
  rows: of.reduce((sum, { rows }) => sum + rows, 0),
});

test("a batch takes requests in order, as many as there is room for, and never none", () => {
  fc.assert(
    fc.property(extents, room, (waiting, free) => {
      const count = countForBatch(waiting, free);
      expect(count).toBeGreaterThanOrEqual(1);
      expect(count).toBeLessThanOrEqual(waiting.length);
      const taken = sumOf(waiting.slice(0, count));
      if (count > 1) expect(taken.items <= free.items && taken.rows <= free.rows).toBe(true);
      if (count < waiting.length) {
        const more = sumOf(waiting.slice(0, count + 1));
        expect(more.items > free.items || more.rows > free.rows).toBe(true);
      }
    }),
  );
});

test("batch after batch, every request is taken once and in order", () => {
  fc.assert(
    fc.property(extents, room, (waiting, free) => {
      const taken: object[] = [];
      for (let left = waiting; left.length > 0; left = left.slice(countForBatch(left, free)))
        taken.push(...left.slice(0, countForBatch(left, free)));
      expect(taken).toEqual(waiting);
    }),
  );
});
