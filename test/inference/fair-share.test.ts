import fc from "fast-check";
import { expect, test } from "vitest";
import { chooseBatch, type Extent, openTally } from "../../inference/fair-share.ts";

const extent = (tenants: readonly string[]) =>
  fc.record({
    tenant: fc.constantFrom(...tenants),
    items: fc.integer({ min: 1, max: 16 }),
    rows: fc.integer({ min: 1, max: 24 }),
  });
const waiting = (...tenants: string[]) =>
  fc.array(extent(tenants), { minLength: 1, maxLength: 20 });
const room = fc.record({
  items: fc.integer({ min: 1, max: 24 }),
  rows: fc.integer({ min: -24, max: 24 }),
});
const nothing = () => 0;

const sumOf = (of: readonly Extent[]) => ({
  items: of.reduce((sum, { items }) => sum + items, 0),
  rows: of.reduce((sum, { rows }) => sum + rows, 0),
});
const at = (waiting: readonly Extent[], places: readonly number[]) =>
  places.flatMap((place) => waiting[place] ?? []);

test("of one tenant, a batch takes requests in order, as many as there is room for, and never none", () => {
  fc.assert(
    fc.property(waiting("a"), room, (waiting, room) => {
      const chosen = chooseBatch(waiting, { room, shareRows: 24 * 20, rowsOf: nothing });
      expect(chosen.length).toBeGreaterThanOrEqual(1);
      expect(chosen).toEqual(chosen.map((_, i) => i));
      const taken = sumOf(at(waiting, chosen));
      if (chosen.length > 1)
        expect(taken.items <= room.items && taken.rows <= room.rows).toBe(true);
      if (chosen.length < waiting.length) {
        const more = sumOf(waiting.slice(0, chosen.length + 1));
        expect(more.items > room.items || more.rows > room.rows).toBe(true);
      }
    }),
  );
});

test("of several, no tenant has more than its share beyond the one request that goes in any case", () => {
  fc.assert(
    fc.property(
      waiting("a", "b", "c"),
      room,
      fc.integer({ min: 0, max: 30 }),
      (waiting, room, atWork) => {
        const chosen = chooseBatch(waiting, {
          room,
          shareRows: 8,
          rowsOf: (tenant) => (tenant === "a" ? atWork : 0),
        });
        expect(chosen.length).toBeGreaterThanOrEqual(1);
        expect(new Set(chosen).size).toBe(chosen.length);
        for (const tenant of ["a", "b", "c"]) {
          const places = chosen.filter((place) => waiting[place]?.tenant === tenant);
          expect(places).toEqual([...places].sort((x, y) => x - y));
          const later = at(waiting, places.slice(places[0] === chosen[0] ? 1 : 0));
          if (later.length > 0)
            expect(
              sumOf(at(waiting, places)).rows + (tenant === "a" ? atWork : 0),
            ).toBeLessThanOrEqual(8);
        }
      },
    ),
  );
});

test("batch after batch, every request is taken once", () => {
  fc.assert(
    fc.property(waiting("a", "b", "c"), room, (waiting, room) => {
      let left = waiting.map((extent, id) => ({ ...extent, id }));
      const taken: number[] = [];
      while (left.length > 0) {
        const chosen = chooseBatch(left, { room, shareRows: 8, rowsOf: nothing });
        taken.push(...chosen.flatMap((place) => left[place]?.id ?? []));
        left = left.filter((_, place) => !chosen.includes(place));
      }
      expect(taken.sort((x, y) => x - y)).toEqual(waiting.map((_, id) => id));
    }),
  );
});

test("tenants take turns in a batch, the one with the least at work first", () => {
  const one = (tenant: string) => ({ tenant, items: 1, rows: 1 });
  const waiting = [one("loud"), one("loud"), one("loud"), one("quiet"), one("other")];
  const bounds = { room: { items: 4, rows: 24 }, shareRows: 8 };
  expect(chooseBatch(waiting, { ...bounds, rowsOf: nothing })).toEqual([0, 3, 4, 1]);
  expect(
    chooseBatch(waiting, { ...bounds, rowsOf: (tenant) => (tenant === "loud" ? 7 : 0) }),
  ).toEqual([3, 4, 0]);
});

test("a tally knows its tenants as long as they have any", () => {
  const tally = openTally();
  expect([tally.of("a"), tally.tenants()]).toEqual([0, 1]);
  const leave = [tally.add("a"), tally.add("a"), tally.add("b")];
  expect([tally.of("a"), tally.of("b"), tally.tenants()]).toEqual([2, 1, 2]);
  for (const end of leave) end();
  expect([tally.of("a"), tally.of("b"), tally.tenants()]).toEqual([0, 0, 1]);
});
