import fc from "fast-check";
import { expect, test } from "vitest";
import type { Sight } from "../../core/ports.ts";
import { openSightCache, type SightKey } from "../../inference/sight-cache.ts";

const key: SightKey = { tenantId: "ada", sha256: "aa", model: "m@1" };

function sightOf(floats: number): Sight {
  return {
    model: "m@1",
    size: { width: 1, height: 1 },
    timings: { decodeMs: 1, pixelsMs: 1, visionMs: 1 },
    features: new Float32Array(floats),
  };
}

test("what was seen comes back, as it was", () => {
  const cache = openSightCache(100);
  const sight = sightOf(10);
  expect(cache.get(key)).toBeNull();
  cache.put(key, sight);
  expect(cache.get(key)).toBe(sight);
});

test.each([
  ["another tenant's same image", { tenantId: "bob" }],
  ["another image", { sha256: "ab" }],
  ["the same model with other weights", { model: "m@2" }],
])("%s is not found", (_, other) => {
  const cache = openSightCache(100);
  cache.put(key, sightOf(1));
  expect(cache.get({ ...key, ...other })).toBeNull();
});

test("names that only look alike when they are joined are different keys", () => {
  const cache = openSightCache(100);
  cache.put({ tenantId: "a", sha256: "b,c", model: "d" }, sightOf(1));
  expect(cache.get({ tenantId: "a,b", sha256: "c", model: "d" })).toBeNull();
});

test("the one that was used longest ago gives way", () => {
  const cache = openSightCache(80);
  const [a, b, c] = ["a", "b", "c"].map((sha256) => ({ ...key, sha256 }));
  if (!a || !b || !c) return expect.unreachable();
  cache.put(a, sightOf(10));
  cache.put(b, sightOf(10));
  cache.get(a);
  cache.put(c, sightOf(10));
  expect([a, b, c].map((each) => cache.get(each) !== null)).toEqual([true, false, true]);
});

test("features that are larger than all room are not kept, and push nothing out", () => {
  const cache = openSightCache(80);
  cache.put(key, sightOf(10));
  cache.put({ ...key, sha256: "large" }, sightOf(21));
  expect(cache.get({ ...key, sha256: "large" })).toBeNull();
  expect(cache.get(key)).not.toBeNull();
});

test("with no room nothing is kept", () => {
  const cache = openSightCache(0);
  cache.put(key, sightOf(1));
  expect(cache.get(key)).toBeNull();
});

test("whatever is put and got, what is kept fits, and the newest that fits alone is there", () => {
  const step = fc.record({
    sha256: fc.constantFrom("a", "b", "c", "d", "e"),
    floats: fc.integer({ min: 1, max: 30 }),
    isGet: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const cache = openSightCache(80);
      for (const { sha256, floats, isGet } of steps) {
        if (isGet) cache.get({ ...key, sha256 });
        else {
          cache.put({ ...key, sha256 }, sightOf(floats));
          expect(cache.get({ ...key, sha256 })?.features.length ?? 0).toBe(
            floats <= 20 ? floats : 0,
          );
        }
        const kept = ["a", "b", "c", "d", "e"].map(
          (name) => cache.get({ ...key, sha256: name })?.features.byteLength ?? 0,
        );
        expect(kept.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThanOrEqual(80);
      }
    }),
  );
});
