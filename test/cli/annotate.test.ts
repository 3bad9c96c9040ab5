import sharp from "sharp";
import { expect, test } from "vitest";
import { annotate } from "../../cli/annotate.ts";
import type { Box } from "../../schema/geometry.ts";
import type { TaskResult } from "../../schema/result.ts";

const size = { width: 320, height: 240 };
const ground = { r: 90, g: 140, b: 190 };
const box: Box = { x0: 100, y0: 80, x1: 220, y1: 200 };

const plain = (extra: { orientation?: number } = {}) =>
  sharp({ create: { ...size, channels: 3, background: ground } })
    .withMetadata(extra)
    .jpeg({ quality: 100 })
    .toBuffer();

const detection = (label: string, at: Box = box): TaskResult => ({
  type: "DetectionResult",
  objects: [{ label, box: at, polygons: null, score: 0.5 }],
});

async function read(png: Buffer) {
  const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
  const isDrawn = (x: number, y: number) => {
    const at = (y * info.width + x) * info.channels;
    return [ground.r, ground.g, ground.b].some(
      (value, i) => Math.abs((data[at + i] ?? 0) - value) > 12,
    );
  };
  return { width: info.width, height: info.height, isDrawn };
}

test("a box is drawn on its four edges, and nowhere in its middle or far away", async () => {
  const { isDrawn, ...drawn } = await read(await annotate(await plain(), [detection("cat")]));
  expect(drawn).toMatchObject(size);
  for (const [x, y] of [
    [160, 80],
    [160, 200],
    [100, 140],
    [220, 140],
  ] as const)
    expect(isDrawn(x, y), `${x},${y}`).toBe(true);
  for (const [x, y] of [
    [160, 140],
    [20, 20],
    [300, 220],
  ] as const)
    expect(isDrawn(x, y), `${x},${y}`).toBe(false);
});

test("an area is tinted and its hole is not", async () => {
  const ring = (from: number, to: number) => ({
    points: [
      { x: from, y: from },
      { x: to, y: from },
      { x: to, y: to },
      { x: from, y: to },
    ],
  });
  const result: TaskResult = {
    type: "SegmentationResult",
    instances: [
      {
        polygons: [ring(40, 200), ring(90, 150)],
        box: { x0: 40, y0: 40, x1: 200, y1: 200 },
        score: 1,
      },
    ],
  };
  const { isDrawn } = await read(await annotate(await plain(), [result]));
  expect(isDrawn(65, 120)).toBe(true);
  expect(isDrawn(120, 120)).toBe(false);
});

test("the picture is the image as it is seen: EXIF orientation 6 stands upright", async () => {
  const drawn = await read(await annotate(await plain({ orientation: 6 }), []));
  expect(drawn).toMatchObject({ width: size.height, height: size.width });
});

test("a label has its plate inside the picture, wherever its box is", async () => {
  for (const [left, top] of [
    [0, 0],
    [300, 0],
    [0, 220],
    [300, 220],
  ] as const) {
    const at = { x0: left, y0: top, x1: left + 20, y1: top + 20 };
    const { isDrawn } = await read(await annotate(await plain(), [detection("a label", at)]));
    const outside = countDrawn(
      isDrawn,
      (x, y) => x < at.x0 - 4 || x > at.x1 + 4 || y < at.y0 - 4 || y > at.y1 + 4,
    );
    expect(outside).toBeGreaterThan(200); // of a plate of about 50 × 15, the part beside the box
  }
});

test.each([
  ["no label", ""],
  ["letters we do not have", "北京 مرحبا 🙂"],
  ["a label longer than the picture", "x".repeat(5000)],
  ["control characters", "\u0000\u001b[2J\n\t"],
])("%s is drawn without a fault", async (_, label) => {
  const { isDrawn, ...drawn } = await read(await annotate(await plain(), [detection(label)]));
  expect(drawn).toMatchObject(size);
  expect(isDrawn(160, 80)).toBe(true);
});

test("geometry outside of the image is left out", async () => {
  const { isDrawn } = await read(
    await annotate(await plain(), [detection("far", { x0: -500, y0: -400, x1: 5000, y1: 4000 })]),
  );
  expect(isDrawn(160, 120)).toBe(false);
});

function countDrawn(
  isDrawn: (x: number, y: number) => boolean,
  counts: (x: number, y: number) => boolean,
): number {
  let count = 0;
  for (let y = 0; y < size.height; y += 1)
    for (let x = 0; x < size.width; x += 1) if (counts(x, y) && isDrawn(x, y)) count += 1;
  return count;
}
