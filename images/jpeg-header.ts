/** What a JPEG's markers say (ITU-T T.81, annex B). */
export interface JpegHeader {
  readonly width: number;
  readonly height: number;
  /** Of one sample. */
  readonly bits: number;
  /** How many times the image's data are gone through, counted up to `scansMax` + 1. */
  readonly scans: number;
  /** What a decoder must hold of the image at once. */
  readonly decodedBytes: number;
  /**
   * Where the data of its one scan end; null if the decoder goes through several before it puts out
   * a row.
   */
  readonly onePassEnd: number | null;
  readonly hasEnd: boolean;
  /** Whether the scans bring every coefficient of every component, to its last bit. */
  readonly isComplete: boolean;
}

interface Frame {
  readonly width: number;
  readonly height: number;
  readonly bits: number;
  readonly isProgressive: boolean;
  /** Samples of a component for each pixel, by the component's id. */
  readonly share: ReadonlyMap<number, number>;
}

/**
 * Null if there is no frame header, or no scan. Stops once more than `scansMax` scans are counted.
 */
export function readJpegHeader(bytes: Uint8Array, scansMax: number): JpegHeader | null {
  let frame: Frame | null = null;
  let isOnePass = false;
  let scans = 0;
  let hasEnd = false;
  const missing = new Map<number, Uint8Array>(); // by component: for each coefficient the bits that are still to come
  let at = 2;
  while (at < bytes.length && scans <= scansMax) {
    at = markerFrom(bytes, at);
    const marker = bytes[at + 1];
    if (marker === undefined) break;
    if (marker === endOfImage) {
      hasEnd = true;
      break;
    }
    at += 2;
    if (standsAlone(marker)) continue;
    const length = word(bytes, at);
    if (length < 2) return null;
    const body = bytes.subarray(at + 2, at + length);
    at += length;
    if (isFrameHeader(marker)) {
      frame ??= readFrame(marker, body);
      for (const id of frame?.share.keys() ?? []) missing.set(id, new Uint8Array(64).fill(255));
    } else if (marker === startOfScan && frame) {
      scans += 1;
      const ids = idsOf(body);
      if (scans === 1) isOnePass = !frame.isProgressive && ids.length === frame.share.size;
      note(missing, ids, frame.isProgressive ? body.subarray(1 + 2 * ids.length) : wholeScan);
    }
  }
  if (!frame || scans === 0) return null;
  const { width, height, bits, share } = frame;
  const samples = [...share.values()].reduce((sum, value) => sum + value, 0);
  return {
    width,
    height,
    bits,
    scans,
    // In one pass: a few rows of blocks. Else the decoder keeps all coefficients, of 16 bits.
    decodedBytes: Math.ceil(2 * samples * width * (isOnePass ? Math.min(height, 64) : height)),
    onePassEnd: isOnePass ? at : null,
    hasEnd,
    isComplete: [...missing.values()].every((bitsLeft) => bitsLeft.every((left) => left === 0)),
  };
}

const startOfScan = 0xda;
const endOfImage = 0xd9;
/** Ss, Se and Ah/Al of a scan that brings all coefficients at once. */
const wholeScan = Uint8Array.of(0, 63, 0);

/**
 * The next marker at or behind a place; entropy-coded data, fill bytes and what else lies between
 * are passed over, as libjpeg does.
 */
function markerFrom(bytes: Uint8Array, from: number): number {
  let plain = 0; // bytes since the last 0xFF
  for (let at = from; at + 1 < bytes.length; at += 1) {
    if (bytes[at] === 0xff) {
      const next = bytes[at + 1];
      if (next !== 0 && next !== 0xff) return at;
      plain = 0;
    } else if (plain++ === 32) {
      at = bytes.indexOf(0xff, at) - 1; // faster, where there are few
      if (at < 0) break;
      plain = 0;
    }
  }
  return bytes.length;
}

/** Markers without a length: TEM, RST0–7, SOI. */
function standsAlone(marker: number): boolean {
  return marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8);
}

/** SOF0–SOF15, among which DHT, JPG and DAC are none. */
function isFrameHeader(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
}

function readFrame(marker: number, body: Uint8Array): Frame | null {
  const count = body[5] ?? 0;
  if (count === 0 || body.length < 6 + 3 * count) return null;
  const factors = Array.from({ length: count }, (_, i) => {
    const byte = body[7 + 3 * i] ?? 0;
    return { id: body[6 + 3 * i] ?? 0, samples: (byte >> 4) * (byte & 15), byte };
  });
  const most = (of: (byte: number) => number) => Math.max(...factors.map(({ byte }) => of(byte)));
  const densest = most((byte) => byte >> 4) * most((byte) => byte & 15);
  if (factors.some(({ samples }) => samples === 0)) return null;
  return {
    bits: body[0] ?? 0,
    height: word(body, 1),
    width: word(body, 3),
    isProgressive: [2, 6, 10, 14].includes(marker & 15),
    share: new Map(factors.map(({ id, samples }) => [id, samples / densest])),
  };
}

function idsOf(body: Uint8Array): number[] {
  return Array.from({ length: Math.min(body[0] ?? 0, 4) }, (_, i) => body[1 + 2 * i] ?? 0);
}

/** Notes what a scan brings: coefficients `first` to `last`, down to the bit `low`. */
function note(
  missing: ReadonlyMap<number, Uint8Array>,
  ids: readonly number[],
  [first = 0, last = 0, bits = 0]: Uint8Array,
): void {
  for (const id of ids) missing.get(id)?.fill(bits & 15, first, last + 1);
}

/** Big-endian; 0 beyond the end. */
function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
