import sharp, { type JpegOptions } from "sharp";
import { beforeAll, describe, expect, test } from "vitest";
import {
  endOfFirstScan,
  gifWithScreen,
  scansBomb,
  withHeight,
  zeroPng,
} from "../../bench/hostile-files.ts";
import { decodeWhole } from "../../images/decode-whole.ts";
import { checkHeader } from "../../images/header.ts";
import { restrictLoaders } from "../../images/loaders.ts";
import { picture } from "../picture.ts";

beforeAll(() => restrictLoaders());

/** As the gateway does it. */
async function probeImage(bytes: Uint8Array) {
  const { mediaType, ...header } = checkHeader(bytes);
  const size = await decodeWhole(bytes, { mediaType, ...header });
  return { mediaType, ...size };
}

const codeOf = (bytes: Uint8Array) =>
  probeImage(bytes).then(
    () => "taken",
    (error) => error.code,
  );

/** A 1-bit PNG, black, of any size: a few kilobytes that unfold to width × height pixels. */
const blackPng = (width: number, height: number) =>
  zeroPng({ width, height, depth: 1, colorType: 0 });

const noise = (size: { width: number; height: number }) =>
  sharp({
    create: {
      ...size,
      channels: 3,
      background: "#888",
      noise: { type: "gaussian", mean: 128, sigma: 60 },
    },
  });

test.each(["jpeg", "png", "webp", "gif"] as const)(
  "%s is taken, known by its bytes",
  async (format) => {
    const bytes = await sharp(await picture({ width: 90, height: 60 }))
      .toFormat(format)
      .toBuffer();
    expect(await probeImage(bytes)).toEqual({
      width: 90,
      height: 60,
      mediaType: `image/${format}`,
    });
  },
);

test.each([1, 2, 3, 4, 5, 6, 7, 8])(
  "width and height are those of the image as it is seen: EXIF orientation %i",
  async (orientation) => {
    const bytes = await noise({ width: 90, height: 60 })
      .jpeg()
      .withMetadata({ orientation })
      .toBuffer();
    expect(await probeImage(bytes)).toMatchObject(
      orientation < 5 ? { width: 90, height: 60 } : { width: 60, height: 90 },
    );
  },
);

test("unusual but sound files are taken: 16 bits, CMYK, alpha, grey, progressive, one pixel, several frames", async () => {
  const base = await picture({ width: 40, height: 40 });
  const files = [
    sharp(base).toColourspace("rgb16").png(),
    sharp(base).toColourspace("cmyk").jpeg(),
    sharp(base).ensureAlpha(0.5).png(),
    sharp(base).greyscale().jpeg(),
    sharp(base).jpeg({ progressive: true }),
    sharp(base).resize(1, 1).png(),
    sharp([base, base], { join: { animated: true } }).gif(),
    sharp([base, base], { join: { animated: true } }).webp(),
  ];
  for (const file of files) expect(await codeOf(await file.toBuffer())).toBe("taken");
});

test.each(["jpeg", "progressive jpeg", "png", "webp", "gif"])(
  "a %s that was cut anywhere is corrupt, never taken and never a crash",
  async (kind) => {
    const image = noise({ width: 200, height: 160 });
    const whole = await (kind === "progressive jpeg"
      ? image.jpeg({ progressive: true })
      : image.toFormat(kind as "jpeg")
    ).toBuffer();
    expect(await codeOf(whole)).toBe("taken");
    for (const share of [0.05, 0.2, 0.5, 0.8, 0.95]) {
      expect(await codeOf(whole.subarray(0, Math.floor(whole.length * share)))).toBe(
        "SOURCE_CORRUPT",
      );
    }
  },
);

test("a PNG bomb is refused by its header, before it is decoded", async () => {
  const bomb = blackPng(16_000, 16_000);
  expect(bomb.length).toBeLessThan(100_000);
  const [started, memory] = [performance.now(), process.memoryUsage().rss];
  expect(await codeOf(bomb)).toBe("SOURCE_TOO_LARGE");
  expect(performance.now() - started).toBeLessThan(300);
  expect(process.memoryUsage().rss - memory).toBeLessThan(50_000_000);
});

test("the longest side and the most pixels are taken, one more is not", async () => {
  expect(await codeOf(blackPng(16_384, 1))).toBe("taken");
  expect(await codeOf(blackPng(16_385, 1))).toBe("SOURCE_TOO_LARGE");
  expect(await codeOf(blackPng(10_000, 5_001))).toBe("SOURCE_TOO_LARGE");
});

test("more than 20 MB are refused unread", async () => {
  expect(await codeOf(new Uint8Array(20_000_001))).toBe("SOURCE_TOO_LARGE");
});

test.each([
  ["SVG", '<?xml version="1.0"?><!-- x --><svg xmlns="http://www.w3.org/2000/svg"/>'],
  ["SVG", "<svg onload='alert(1)'/>"],
  ["PDF", "%PDF-1.7\n"],
  ["TIFF", "II*\0\x08\0\0\0"],
  ["TIFF", "MM\0*\0\0\0\x08"],
  ["HEIC", "\0\0\0\x18ftypheic"],
  ["AVIF", "\0\0\0\x18ftypavif"],
  ["a video", "\0\0\0\x18ftypisom"],
  ["BMP", "BM\0\0\0\0"],
  ["JPEG XL", "\xff\x0a"],
  ["JPEG XL", "\0\0\0\x0cJXL \r\n\x87\n"],
  ["a ZIP archive", "PK\x03\x04"],
  ["gzip", "\x1f\x8b\x08"],
  ["an HTML page", "<!DOCTYPE html><html>"],
  ["JSON", '{"error": "no such image"}'],
  ["no image", "hello"],
  ["no image", ""],
])("another type is named: %s", async (name, head) => {
  await expect(probeImage(Buffer.from(head, "latin1"))).rejects.toMatchObject({
    code: "SOURCE_UNSUPPORTED",
    message: expect.stringContaining(name),
  });
});

test("a real TIFF finds no loader, whatever it claims to be", async () => {
  const tiff = await sharp(await picture())
    .tiff()
    .toBuffer();
  expect(await codeOf(tiff)).toBe("SOURCE_UNSUPPORTED");
  await expect(sharp(tiff).metadata()).rejects.toThrow(/unsupported/i);
});

test.each([
  "\xff\xd8\xff<html>",
  "GIF89a=1;alert(1)",
  "RIFF\0\0\0\0WEBPVP8 ",
  "\x89PNG\r\n\x1a\nPK",
])("a file with nothing behind its mark is corrupt: %j", async (text) => {
  expect(await codeOf(Buffer.from(text, "latin1"))).toBe("SOURCE_CORRUPT");
});

test("flipped bits end in a decision, never in a crash", async () => {
  const whole = await noise({ width: 64, height: 64 }).jpeg().toBuffer();
  for (let i = 3; i < whole.length; i += 97) {
    const broken = Buffer.from(whole);
    broken[i] = (broken[i] ?? 0) ^ 0xff;
    expect(["taken", "SOURCE_CORRUPT", "SOURCE_TOO_LARGE"]).toContain(await codeOf(broken));
  }
});

test("a progressive JPEG of thousands of scans is refused by its header, within a second", async () => {
  const bomb = scansBomb();
  expect(bomb.length).toBeLessThan(700_000);
  const started = performance.now();
  await expect(probeImage(bomb)).rejects.toMatchObject({
    code: "SOURCE_TOO_LARGE",
    message: expect.stringContaining("more than 100 scans"),
  });
  expect(performance.now() - started).toBeLessThan(1_000);
});

test("a hundred scans are taken, one more is not", async () => {
  expect(await codeOf(scansBomb({ side: 64, scans: 99 }))).toBe("taken");
  expect(await codeOf(scansBomb({ side: 64, scans: 100 }))).toBe("SOURCE_TOO_LARGE");
});

test("what decoding would hold in memory is bounded by the header", async () => {
  const deep = { depth: 16, colorType: 6, interlaced: true } as const;
  const small = zeroPng({ ...deep, width: 3_000, height: 2_000 });
  expect(await codeOf(small)).toBe("taken");
  expect(await codeOf(zeroPng({ ...deep, width: 7_071, height: 1, announcedHeight: 7_071 }))).toBe(
    "SOURCE_TOO_LARGE",
  );
  const header = async (jpeg: JpegOptions) =>
    checkHeader(
      await sharp(await picture({ width: 400, height: 400 }))
        .jpeg(jpeg)
        .toBuffer(),
    ).decodedBytes;
  expect(await header({ progressive: true, chromaSubsampling: "4:4:4" })).toBe(400 * 400 * 6);
  expect(await header({ progressive: true })).toBe(400 * 400 * 3);
  expect(await header({})).toBeLessThan(400 * 400);
});

describe("a JPEG that lacks its end marker", () => {
  const image = noise({ width: 200, height: 160 });

  test.each([false, true])("is taken, and says so (progressive: %s)", async (progressive) => {
    const jpeg = await image.jpeg({ progressive }).toBuffer();
    expect(checkHeader(jpeg).warnings).toEqual([]);
    for (const cut of [1, 2]) {
      const file = jpeg.subarray(0, jpeg.length - cut);
      expect(checkHeader(file).warnings).toEqual(["END_MARKER_MISSING"]);
      expect(await probeImage(file)).toMatchObject({ width: 200, height: 160 });
    }
  });

  test("is refused if data are missing too: a byte, a half, a scan", async () => {
    const jpeg = await image.jpeg().toBuffer();
    const progressive = await image.jpeg({ progressive: true }).toBuffer();
    const files = [
      jpeg.subarray(0, -40),
      jpeg.subarray(0, jpeg.length / 2),
      progressive.subarray(0, -6),
      progressive.subarray(0, progressive.length / 2),
      progressive.subarray(0, endOfFirstScan(progressive)),
    ];
    for (const file of files) expect(await codeOf(file)).toBe("SOURCE_CORRUPT");
  });
});

describe("a header that lies about the height", () => {
  const image = noise({ width: 200, height: 160 });
  const formats = ["jpeg", "progressive jpeg", "png", "webp", "lossless webp", "gif"] as const;
  const encode = (format: (typeof formats)[number]) =>
    ({
      jpeg: () => image.jpeg(),
      "progressive jpeg": () => image.jpeg({ progressive: true }),
      png: () => image.png(),
      webp: () => image.webp(),
      "lossless webp": () => image.webp({ lossless: true }),
      gif: () => image.gif(),
    })
      [format]()
      .toBuffer();

  test.each(formats)("%s: more than there is, is refused", async (format) => {
    for (const height of [170, 320, 1_600])
      expect(await codeOf(withHeight(await encode(format), height)), `${height}`).toBe(
        "SOURCE_CORRUPT",
      );
  });

  test.each(formats)("%s: less than there is, is read as announced", async (format) => {
    for (const height of [150, 80])
      expect(await probeImage(withHeight(await encode(format), height))).toMatchObject({
        width: 200,
        height,
      });
  });
});

test("a GIF is read as browsers show it, its screen, or refused", async () => {
  const gif = await noise({ width: 200, height: 160 }).gif().toBuffer();
  expect(await probeImage(gifWithScreen(gif, { width: 400, height: 300 }))).toMatchObject({
    width: 400,
    height: 300,
  });
  for (const side of [100, 7_000])
    await expect(
      probeImage(gifWithScreen(gif, { width: side, height: side })),
    ).rejects.toMatchObject({
      code: "SOURCE_CORRUPT",
      message: expect.stringContaining(`${side} × ${side}`),
    });
});

test("bytes between two segments of a JPEG, as some cameras write them, are no damage", async () => {
  const jpeg = await noise({ width: 64, height: 64 }).jpeg({ progressive: true }).toBuffer();
  const at = endOfFirstScan(jpeg);
  const padded = Buffer.concat([jpeg.subarray(0, at), Buffer.alloc(3), jpeg.subarray(at)]);
  expect(await codeOf(padded)).toBe("taken");
});

test("an image encoded as base64 twice is told so", () => {
  const text = Buffer.from(
    zeroPng({ width: 9, height: 9, depth: 8, colorType: 2 }).toString("base64"),
  );
  expect(() => checkHeader(text)).toThrow(/base64 once more/);
  expect(() => checkHeader(Buffer.from(`data:image/png;base64,${text}`))).toThrow(/data: URL/);
});
