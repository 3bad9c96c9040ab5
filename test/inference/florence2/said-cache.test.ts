import { describe, expect, test } from "vitest";
import { openSaidCache } from "../../../inference/florence2/said-cache.ts";
import { random } from "./fixtures.ts";

const [heads, width] = [2, 4];
const names = ["0.decoder.key", "0.decoder.value", "1.decoder.key"];

/**
 * What one row said: for each name and position, its numbers. The naive way copies all of it
 * whenever rows change.
 */
type Row = Record<string, number[][]>;

describe.each(["float32", "float16"] as const)("a cache of %s", (element) => {
  const kind = element === "float16" ? Uint16Array : Float32Array;

  test("holds at every step what copying everything would, however rows are reordered, repeated, dropped and added", () => {
    for (let seed = 0; seed < 8; seed += 1) {
      const next = random(seed);
      const below = (count: number) => Math.floor(next() * count);
      const beams = 1 + below(4);
      let questions = 1 + below(4);
      let perQuestion = 1;
      const cache = openSaidCache(names, { rows: questions, heads, width, element });
      let rows: Row[] = Array.from({ length: questions }, () =>
        Object.fromEntries(names.map((name) => [name, []])),
      );
      let places = [...rows.keys()];
      let fresh = 1;

      for (let step = 0; step < 40; step += 1) {
        const present: Record<string, { data: Float32Array | Uint16Array; dims: number[] }> = {};
        for (const name of names) {
          const data = new kind(rows.length * width);
          for (const [row, place] of places.entries()) {
            const numbers = Array.from({ length: width }, () => fresh++ % 60_000);
            data.set(numbers, place * width);
            rows[row]?.[name]?.push(numbers);
          }
          present[`present.${name}`] = { data, dims: [rows.length, width] };
        }
        cache.append(present);
        expectSame(cache, rows, places);

        const leaves = questions > 1 && below(20) === 0 ? below(questions) : null;
        const left = Array.from({ length: questions }, (_, question) => question).filter(
          (question) => question !== leaves,
        );
        const isSame = leaves === null && (step < 2 || perQuestion === beams);
        const count = step < 1 ? 1 : beams;
        const parents = left.flatMap((question) => {
          const isQuiet = below(3) > 0; // often a question's rows just go on
          return Array.from(
            { length: count },
            (_, row) => question * perQuestion + (isQuiet && isSame ? row : below(perQuestion)),
          );
        });
        const stands = parents.map((parent) => places[parent] ?? 0);
        places =
          count === perQuestion && leaves === null ? cache.reorder(stands) : cache.rebuild(stands);
        rows = parents.map((parent) => structuredClone(rows[parent] ?? {}));
        if (leaves === null)
          expect(places.map((place) => Math.floor(place / count))).toEqual(
            parents.map((parent) => Math.floor(parent / perQuestion)),
          );
        [questions, perQuestion] = [left.length, count];
        expectSame(cache, rows, places);
      }
    }
  });

  function expectSame(
    cache: ReturnType<typeof openSaidCache>,
    rows: readonly Row[],
    places: readonly number[],
  ): void {
    const past = cache.past();
    for (const name of names) {
      const { data, dims } = past[`past_key_values.${name}`] ?? expect.unreachable();
      expect(data).toBeInstanceOf(kind);
      expect(dims).toEqual([cache.length + 1, rows.length * heads, width / heads]);
      const expected = new kind(data.length); // slot 0: zeros
      for (const [row, said] of rows.entries()) {
        for (const [position, numbers] of (said[name] ?? []).entries()) {
          expected.set(numbers, ((position + 1) * rows.length + (places[row] ?? 0)) * width);
        }
      }
      expect(data).toEqual(expected);
    }
  }
});

test("rows that only change places move nothing", () => {
  const cache = openSaidCache(["k"], { rows: 3, heads, width, element: "float32" });
  const said = () => ({
    "present.k": { data: Float32Array.from({ length: 3 * width }, (_, i) => i), dims: [3, width] },
  });
  cache.append(said());
  cache.append(said());
  const before = Array.from(cache.past()["past_key_values.k"]?.data ?? [], Number);
  expect(cache.reorder([2, 0, 1])).toEqual([2, 0, 1]);
  expect(Array.from(cache.past()["past_key_values.k"]?.data ?? [], Number)).toEqual(before);
});

test("new keys of another size are refused", () => {
  const cache = openSaidCache(["k"], { rows: 2, heads, width, element: "float32" });
  expect(() =>
    cache.append({ "present.k": { data: new Uint16Array(2 * width), dims: [2, width] } }),
  ).toThrow("k have another size");
  expect(() => cache.append({})).toThrow("k have another size");
});
