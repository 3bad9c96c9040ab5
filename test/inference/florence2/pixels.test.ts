import { crc32 } from "node:zlib";
import sharp from "sharp";
import { beforeAll, describe, expect, test } from "vitest";
import { restrictLoaders } from "../../../images/loaders.ts";
import { type Pixels, readPixels } from "../../../inference/florence2/pixels.ts";
import { picture } from "./fixtures.ts";

const format = {
  width: 24,
  height: 24,
  scale: 1 / 255,
  mean: [0.485, 0.456, 0.406],
  deviation: [0.229, 0.224, 0.225],
};
const plane = format.width * format.height;

beforeAll(restrictLoaders);

/** The colour at a place of the model's input, back in bytes. */
function colorAt(pixels: Pixels, x: number, y: number): number[] {
  return [0, 1, 2].map((channel) => {
    const value = pixels.values[channel * plane + y * format.width + x] ?? 0;
    return Math.abs(
      Math.round((value * (format.deviation[channel] ?? 1) + (format.mean[channel] ?? 0)) * 255),
    ); // no -0
  });
}

function plain(background: string, size = { width: 40, height: 20 }, channels: 3 | 4 = 3) {
  return sharp({ create: { ...size, channels, background } });
}

describe("pixels", () => {
  test("an all-white image has the mean 2.4392", async () => {
    const { values } = await readPixels(await plain("#ffffff").png().toBuffer(), format);
    expect(values.reduce((sum, value) => sum + value, 0) / values.length).toBeCloseTo(2.4392, 4);
  });

  test("the planes are red, green and blue in this order", async () => {
    const pixels = await readPixels(await plain("#ff8000").png().toBuffer(), format);
    expect(pixels.values).toHaveLength(3 * plane);
    expect(colorAt(pixels, 3, 20)).toEqual([255, 128, 0]);
  });

  test.each(["jpeg", "png", "webp", "gif"] as const)(
    "%s is read, and its own size told",
    async (type) => {
      const pixels = await readPixels(
        await plain("#204060", { width: 50, height: 30 }).toFormat(type).toBuffer(),
        format,
      );
      expect(pixels.size).toEqual({ width: 50, height: 30 });
      for (const [i, byte] of [0x20, 0x40, 0x60].entries())
        expect(Math.abs((colorAt(pixels, 5, 5)[i] ?? 0) - byte)).toBeLessThan(4);
    },
  );

  // From a stored place to the upright one, as EXIF defines the eight orientations.
  test.each<[number, (x: number, y: number, right: number, bottom: number) => [number, number]]>([
    [1, (x, y) => [x, y]],
    [2, (x, y, right) => [right - x, y]],
    [3, (x, y, right, bottom) => [right - x, bottom - y]],
    [4, (x, y, _, bottom) => [x, bottom - y]],
    [5, (x, y) => [y, x]],
    [6, (x, y, right) => [right - y, x]],
    [7, (x, y, right, bottom) => [right - y, bottom - x]],
    [8, (x, y, _, bottom) => [y, bottom - x]],
  ])("EXIF orientation %i is seen upright", async (orientation, uprightOf) => {
    const upright = { width: 64, height: 32 };
    const stored = orientation < 5 ? upright : { width: upright.height, height: upright.width };
    const rgb = Buffer.alloc(3 * stored.width * stored.height);
    for (let y = 0; y < stored.height; y += 1) {
      for (let x = 0; x < stored.width; x += 1) {
        const [right, down] = uprightOf(x, y, upright.width - 1, upright.height - 1);
        const color = right < 32 ? [255, 0, 0] : down < 16 ? [0, 0, 255] : [0, 255, 0];
        rgb.set(color, 3 * (y * stored.width + x));
      }
    }
    const jpeg = sharp(rgb, { raw: { ...stored, channels: 3 } }).withMetadata({ orientation });
    const pixels = await readPixels(
      await jpeg.jpeg({ quality: 100, chromaSubsampling: "4:4:4" }).toBuffer(),
      format,
    );
    expect(pixels.size).toEqual(upright);
    for (const [x, y, color] of [
      [4, 4, [255, 0, 0]],
      [4, 20, [255, 0, 0]],
      [20, 4, [0, 0, 255]],
      [20, 20, [0, 255, 0]],
    ] as const) {
      color.forEach((byte, i) => {
        expect(Math.abs((colorAt(pixels, x, y)[i] ?? 0) - byte)).toBeLessThan(4);
      });
    }
  });

  test("what is transparent is white, half of it half", async () => {
    const clear = await readPixels(
      await plain("rgba(0, 0, 0, 0)", undefined, 4).png().toBuffer(),
      format,
    );
    expect(colorAt(clear, 9, 9)).toEqual([255, 255, 255]);
    const half = await readPixels(
      await plain("rgba(0, 0, 0, 0.5)", undefined, 4).png().toBuffer(),
      format,
    );
    expect(colorAt(half, 9, 9)[0]).toBeGreaterThan(125);
    expect(colorAt(half, 9, 9)[0]).toBeLessThan(130);
  });

  test("grey, 16 bit and CMYK images become sRGB", async () => {
    const grey = await plain("#777777").toColourspace("b-w").png().toBuffer();
    expect(colorAt(await readPixels(grey, format), 1, 1)).toEqual([0x77, 0x77, 0x77]);
    const deep = await plain("#336699").toColourspace("rgb16").png().toBuffer();
    expect(colorAt(await readPixels(deep, format), 1, 1)).toEqual([0x33, 0x66, 0x99]);
    const print = await plain("#ffffff").toColourspace("cmyk").jpeg({ quality: 100 }).toBuffer();
    for (const byte of colorAt(await readPixels(print, format), 1, 1))
      expect(byte).toBeGreaterThan(245);
  });

  test("of an animation the first frame is seen", async () => {
    const frames = Buffer.concat(
      await Promise.all(
        ["#ff0000", "#0000ff"].map((color) =>
          plain(color, { width: 8, height: 8 }).raw().toBuffer(),
        ),
      ),
    );
    const gif = sharp(frames, { raw: { width: 8, height: 16, channels: 3, pageHeight: 8 } }).gif({
      delay: [100, 100],
    });
    const pixels = await readPixels(await gif.toBuffer(), format);
    expect(pixels.size).toEqual({ width: 8, height: 8 });
    expect(colorAt(pixels, 12, 20)).toEqual([255, 0, 0]);
  });
});

describe("bad bytes", () => {
  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>';

  test.each([
    ["nothing", ""],
    ["text", "this is not an image, however long it goes on"],
    ["SVG", svg],
    ["PDF", "%PDF-1.4\n1 0 obj << /Type /Catalog >> endobj"],
    ["TIFF", "II*\0\x08\0\0\0\0\0"],
  ])("%s is unsupported", async (_, bytes) => {
    await expect(readPixels(Buffer.from(bytes, "latin1"), format)).rejects.toMatchObject({
      code: "SOURCE_UNSUPPORTED",
    });
  });

  test("a whole TIFF is unsupported, too", async () => {
    await expect(readPixels(await plain("#fff").tiff().toBuffer(), format)).rejects.toMatchObject({
      code: "SOURCE_UNSUPPORTED",
    });
  });

  test.each([0.3, 0.6, 0.9])("a JPEG that ends after %f of its bytes is corrupt", async (part) => {
    const jpeg = await sharp(await picture(1, 300, 200))
      .jpeg()
      .toBuffer();
    await expect(readPixels(jpeg.subarray(0, jpeg.length * part), format)).rejects.toMatchObject({
      code: "SOURCE_CORRUPT",
    });
  });

  test("a PNG of 16000 × 16000 is refused by its header, before it is decoded", async () => {
    const png = await plain("#fff", { width: 8, height: 8 }).png().toBuffer();
    await expect(readPixels(announcing(png, 16_000, 16_000), format)).rejects.toMatchObject({
      code: "SOURCE_TOO_LARGE",
    });
  });

  test("a PNG with a side that is too long is refused, however few its pixels", async () => {
    const png = await plain("#fff", { width: 8, height: 8 }).png().toBuffer();
    await expect(readPixels(announcing(png, 16_385, 1), format)).rejects.toMatchObject({
      code: "SOURCE_TOO_LARGE",
    });
  });
});

/** A PNG whose header claims another size. */
function announcing(png: Buffer, width: number, height: number): Buffer {
  const lying = Buffer.from(png);
  lying.writeUInt32BE(width, 16);
  lying.writeUInt32BE(height, 20);
  lying.writeUInt32BE(crc32(lying.subarray(12, 29)), 29);
  return lying;
}
