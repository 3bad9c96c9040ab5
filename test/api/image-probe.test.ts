import { crc32, deflateSync } from "node:zlib";
import sharp from "sharp";
import { beforeAll, expect, test } from "vitest";
import { allowImageLoadersOnly, probeImage } from "../../api/image-probe.ts";
import { picture } from "../picture.ts";

beforeAll(() => allowImageLoadersOnly());

const codeOf = (bytes: Uint8Array) =>
  probeImage(bytes).then(
    () => "taken",
    (error) => error.code,
  );

/** A whole 1-bit grey PNG, black, of any size: a few kilobytes that unfold to width × height pixels. */
function blackPng(width: number, height: number): Buffer {
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length, 0);
    frame.writeUInt32BE(crc32(body) >>> 0, 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  const rows = Buffer.alloc(height * (1 + Math.ceil(width / 8)));
  const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
  return Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(rows)),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

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
