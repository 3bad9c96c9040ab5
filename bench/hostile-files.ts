import { crc32, deflateSync } from "node:zlib";

// Files whose cost to decode does not follow from their bytes, and files that are damaged in ways
// of their own. Tests and benchmarks share them.

/**
 * A valid progressive JPEG of one color: after the first scan, one scan for each component,
 * coefficient and bit, which holds nothing but runs of "no change". CMYK has up to 3,528 of them.
 */
export function scansBomb({ side = 7_000, scans = 3_528, components = 4 } = {}): Buffer {
  const blocks = Math.ceil(side / 8) ** 2;
  const ids = Array.from({ length: components }, (_, i) => i + 1);
  const frame = [8, side >> 8, side & 255, side >> 8, side & 255, components];
  const parts = [
    Buffer.from([0xff, 0xd8]),
    segment(0xdb, [0, ...new Array(64).fill(1)]),
    segment(0xc2, [...frame, ...ids.flatMap((id) => [id, 0x11, 0])]),
    segment(0xc4, [0x00, 1, ...new Array(15).fill(0), 0]), // DC: the bit 0 stands for "as before"
    segment(0xda, [components, ...ids.flatMap((id) => [id, 0]), 0, 0, 0]),
    Buffer.alloc(Math.ceil((blocks * components) / 8)),
    segment(0xc4, [0x10, 1, ...new Array(15).fill(0), 0xe0]), // AC: 0 and 14 bits are a run of blocks
  ];
  const data = endOfBandRuns(blocks);
  const plans = Array.from({ length: 14 * 63 * components }, (_, i) => ({
    id: ids[i % components] ?? 1,
    coefficient: 1 + (Math.floor(i / components) % 63),
    bit: 13 - Math.floor(i / components / 63),
  }));
  for (const { id, coefficient, bit } of plans.slice(0, scans)) {
    const bits = ((bit === 13 ? 0 : bit + 1) << 4) | bit;
    parts.push(segment(0xda, [1, id, 0, coefficient, coefficient, bits]), data);
  }
  return Buffer.concat([...parts, Buffer.from([0xff, 0xd9])]);
}

function segment(marker: number, body: readonly number[]): Buffer {
  const length = body.length + 2;
  return Buffer.from([0xff, marker, length >> 8, length & 255, ...body]);
}

/** Where the marker behind the first scan's data begins. */
export function endOfFirstScan(jpeg: Buffer): number {
  let at = 2;
  while (jpeg[at + 1] !== 0xda) at += 2 + jpeg.readUInt16BE(at + 2);
  at += 2 + jpeg.readUInt16BE(at + 2);
  for (; ; at += 1) {
    const next = jpeg[at + 1] ?? 0xd9;
    if (jpeg[at] === 0xff && next !== 0 && (next < 0xd0 || next > 0xd7)) return at;
  }
}

/** Where the frame header (SOF) of a JPEG begins. */
export function frameHeaderAt(jpeg: Buffer): number {
  let at = 2;
  while (![0xc0, 0xc1, 0xc2].includes(jpeg[at + 1] ?? 0)) at += 2 + jpeg.readUInt16BE(at + 2);
  return at;
}

/** Entropy-coded: so many runs that they cover `blocks`, with a zero byte behind each 0xFF. */
function endOfBandRuns(blocks: number): Buffer {
  let bits = "";
  for (let left = blocks; left > 0; left -= 32_767) {
    const run = Math.max(left, 16_384);
    bits += `0${(Math.min(run, 32_767) - 16_384).toString(2).padStart(14, "0")}`;
  }
  bits += "1".repeat((8 - (bits.length % 8)) % 8);
  const bytes = (bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2));
  return Buffer.from(bytes.flatMap((byte) => (byte === 0xff ? [0xff, 0] : [byte])));
}

export interface PngPlan {
  readonly width: number;
  readonly height: number;
  readonly depth: 1 | 8 | 16;
  /** 0 grey, 2 RGB, 6 RGBA. */
  readonly colorType: 0 | 2 | 6;
  readonly interlaced?: boolean;
  /** What the header says instead of `height`. */
  readonly announcedHeight?: number;
}

/** A PNG of zeros: kilobytes that unfold to as much as the plan says. */
export function zeroPng(plan: PngPlan): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(plan.width, 0);
  header.writeUInt32BE(plan.announcedHeight ?? plan.height, 4);
  header.set([plan.depth, plan.colorType, 0, 0, plan.interlaced ? 1 : 0], 8);
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    pngChunk("IHDR", header),
    pngChunk("IDAT", deflateSync(Buffer.alloc(rawBytes(plan)))),
    pngChunk("IEND", Buffer.alloc(0)),
  ]);
}

/** The seven passes of Adam7: where each begins, and its steps. */
const passes = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

function rawBytes({ width, height, depth, colorType, interlaced = false }: PngPlan): number {
  const bits = { 0: 1, 2: 3, 6: 4 }[colorType] * depth;
  const bytesOf = (w: number, h: number) => (w > 0 ? h * (1 + Math.ceil((w * bits) / 8)) : 0);
  if (!interlaced) return bytesOf(width, height);
  return passes.reduce((sum, [x, y, dx, dy]) => {
    return sum + bytesOf(Math.ceil((width - x) / dx), Math.max(0, Math.ceil((height - y) / dy)));
  }, 0);
}

function pngChunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(crc32(body) >>> 0, 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}

/** The PNG of zeros that takes most memory for its bytes: 16 bits, alpha, interlaced. */
export function deepPng(side = 7_071): Buffer {
  return zeroPng({ width: side, height: side, depth: 16, colorType: 6, interlaced: true });
}

/** A GIF whose screen has another size than its frame. */
export function gifWithScreen(gif: Buffer, screen: { width: number; height: number }): Buffer {
  const bytes = Buffer.from(gif);
  bytes.writeUInt16LE(screen.width, 6);
  bytes.writeUInt16LE(screen.height, 8);
  return bytes;
}

/** A file of sharp's whose headers tell another height; its data stay as they were. */
export function withHeight(file: Buffer, height: number): Buffer {
  const bytes = Buffer.from(file);
  if (bytes[0] === 0xff) bytes.writeUInt16BE(height, frameHeaderAt(bytes) + 5);
  else if (bytes[0] === 0x89) {
    bytes.writeUInt32BE(height, 20);
    bytes.writeUInt32BE(crc32(bytes.subarray(12, 29)) >>> 0, 29);
  } else if (bytes[0] === 0x47) {
    bytes.writeUInt16LE(height, 8);
    bytes.writeUInt16LE(height, firstFrameAt(bytes) + 7);
  } else if (bytes.toString("latin1", 12, 16) === "VP8 ") bytes.writeUInt16LE(height, 28);
  else {
    const bits = bytes.readUInt32LE(21);
    bytes.writeUInt32LE(((bits & ~(0x3fff << 14)) | ((height - 1) << 14)) >>> 0, 21);
  }
  return bytes;
}

/** Where a GIF's first image descriptor begins. */
function firstFrameAt(gif: Buffer): number {
  const tableBytes = (flags: number) => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  let at = 13 + tableBytes(gif[10] ?? 0);
  while (gif[at] === 0x21) {
    at += 2;
    while ((gif[at] ?? 0) > 0) at += 1 + (gif[at] ?? 0);
    at += 1;
  }
  return at;
}
