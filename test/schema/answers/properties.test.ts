import fc from "fast-check";
import { expect, test } from "vitest";
import type { Span } from "../../../schema/answer.ts";
import { readBoxes } from "../../../schema/answers/boxes.ts";
import { readObjects } from "../../../schema/answers/boxes-or-polygons.ts";
import { dequantize, locationTokens, quantize } from "../../../schema/answers/locations.ts";
import { readPolygons } from "../../../schema/answers/polygons.ts";
import { readQuads } from "../../../schema/answers/quads.ts";
import { readRegionText } from "../../../schema/answers/region-text.ts";
import { readText } from "../../../schema/answers/text.ts";
import type { Box, Point, Polygon, Size } from "../../../schema/geometry.ts";
import { countLocations, imageSize, locations, rawText } from "./raw-text.ts";

/** What a grammar found, in one shape for all grammars. */
interface Found {
  readonly boxes: readonly Box[];
  readonly points: readonly Point[];
  readonly locationCount: number;
  /** Of location tokens; null where a grammar keeps none. */
  readonly spans: readonly Span[] | null;
  readonly remainder: string;
}

const grammars: Record<string, (raw: string, size: Size) => Found> = {
  text(raw) {
    return {
      boxes: [],
      points: [],
      locationCount: 0,
      spans: [],
      remainder: readText(raw).remainder,
    };
  },
  regionText(raw, size) {
    const { region, remainder } = readRegionText(raw, size);
    return {
      boxes: region ? [region] : [],
      points: [],
      locationCount: region ? 4 : 0,
      spans: null,
      remainder,
    };
  },
  boxes(raw, size) {
    const { items, remainder } = readBoxes(raw, size);
    const placed = items.flatMap((group) => group.boxes);
    const spans = placed.flatMap((item) => item.spans);
    return {
      boxes: placed.map((item) => item.box),
      points: [],
      locationCount: placed.length * 4,
      spans,
      remainder,
    };
  },
  quads(raw, size) {
    const { items, remainder } = readQuads(raw, size);
    const points = items.flatMap((line) => line.quad.points);
    const spans = items.flatMap((line) => line.spans);
    return {
      boxes: items.map((line) => line.box),
      points,
      locationCount: points.length * 2,
      spans,
      remainder,
    };
  },
  polygons(raw, size) {
    const { items, remainder } = readPolygons(raw, size);
    const points = items.flatMap((item) => pointsIn(item.polygons));
    const spans = items.flatMap((item) => item.spans);
    return {
      boxes: items.map((item) => item.box),
      points,
      locationCount: points.length * 2,
      spans,
      remainder,
    };
  },
  objects(raw, size) {
    const { items, remainder } = readObjects(raw, size);
    const points = items.flatMap((item) => pointsIn(item.polygons ?? []));
    const boxCount = items.filter((item) => item.polygons === null).length;
    const spans = items.flatMap((item) => item.spans);
    return {
      boxes: items.map((item) => item.box),
      points,
      locationCount: boxCount * 4 + points.length * 2,
      spans,
      remainder,
    };
  },
};

for (const [name, read] of Object.entries(grammars)) {
  test(`${name}: every location token is in the items or in the remainder, once`, () => {
    fc.assert(
      fc.property(rawText, imageSize, (raw, size) => {
        const { locationCount, remainder, spans } = read(raw, size);
        expect(locationCount + countLocations(remainder)).toBe(countLocations(raw));
        if (!spans) return;
        expect(spans.length).toBe(locationCount);
        expect(new Set(spans.map((span) => span.start)).size).toBe(locationCount);
        for (const { start, end } of spans)
          expect(raw.slice(start, end)).toMatch(/^<loc_\d{1,3}>$/);
      }),
      { numRuns: 400 },
    );
  });

  test(`${name}: boxes and points lie inside the image, corners in order`, () => {
    fc.assert(
      fc.property(rawText, imageSize, (raw, size) => {
        const { boxes, points } = read(raw, size);
        const corners = boxes.flatMap(({ x0, y0, x1, y1 }): Point[] => [
          { x: x0, y: y0 },
          { x: x1, y: y1 },
        ]);
        const isInside = ({ x, y }: Point) => x > 0 && x < size.width && y > 0 && y < size.height;
        expect([...points, ...corners].filter((point) => !isInside(point))).toEqual([]);
        expect(boxes.filter((box) => box.x0 > box.x1 || box.y0 > box.y1)).toEqual([]);
      }),
      { numRuns: 400 },
    );
  });

  test.each([
    ["locations", locations(Array.from({ length: 14_000 }, (_, i) => i % 1000))],
    ["torn tokens", "<loc_".repeat(20_000)],
    ["opening brackets", "<".repeat(100_000)],
    ["white space", `${" \n".repeat(50_000)}x`],
    ["openings", "<poly><loc_1>".repeat(8_000)],
    ["separators", "<sep>".repeat(20_000)],
    ["labels", "a<loc_1>".repeat(12_000)],
    ["classes", "<and>".repeat(20_000)],
  ])(`${name}: 100 kB of %s are read whole`, (_, raw) => {
    const { locationCount, remainder } = read(raw, { width: 640, height: 480 });
    expect(locationCount + countLocations(remainder)).toBe(countLocations(raw));
  });
}

test("a text span is where the text stands", () => {
  fc.assert(
    fc.property(rawText, imageSize, (raw, size) => {
      const at = (spans: readonly Span[]) =>
        spans.map(({ start, end }) => raw.slice(start, end)).join("\n");
      expect(at(readText(raw).spans)).toBe(readText(raw).text);
      expect(at(readRegionText(raw, size).spans)).toBe(readRegionText(raw, size).text);
      for (const line of readQuads(raw, size).items) expect(at(line.textSpans)).toBe(line.text);
    }),
  );
});

test("a bin survives the way to pixels and back, for any image", () => {
  const side = fc.oneof(
    fc.integer({ min: 1, max: 16_384 }),
    fc.double({ min: 0.01, max: 1e6, noNaN: true }),
  );
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 999 }), side, (bin, side) => {
      expect(quantize(dequantize(bin, side), side)).toBe(bin);
    }),
    { numRuns: 2_000 },
  );
});

test("a pixel's bin is one of the thousand, and its centre at most a bin away", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 16_384 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (side, part) => {
        const bin = quantize(part * side, side);
        expect(Number.isInteger(bin) && bin >= 0 && bin <= 999).toBe(true);
        expect(Math.abs(dequantize(bin, side) - part * side)).toBeLessThanOrEqual(side / 1000);
      },
    ),
  );
});

test.each([
  [{ x0: 0, y0: 0, x1: 640, y1: 480 }, [0, 0, 999, 999]],
  [{ x0: 33.6, y0: 159.6, x1: 596.8, y1: 371.76 }, [52, 332, 932, 774]],
  [{ x0: 0.63, y0: 0.48, x1: 0.64, y1: 0.96 }, [0, 1, 1, 2]],
  [{ x0: -5, y0: -0.001, x1: 1e9, y1: 480.001 }, [0, 0, 999, 999]],
])("%j is asked for by the bins %j", (box, bins) => {
  expect(locationTokens(box, { width: 640, height: 480 })).toBe(locations(bins));
});

function pointsIn(polygons: readonly Polygon[]): Point[] {
  return polygons.flatMap((polygon) => polygon.points);
}
