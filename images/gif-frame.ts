/**
 * Whether the data of a GIF's first frame bring all of its pixels. Decoders do not ask: libvips
 * leaves the rest black. Goes through the LZW codes (GIF89a, appendix F) without making the pixels.
 */
export function isFirstFrameWhole(bytes: Uint8Array): boolean {
  const frame = firstFrame(bytes);
  return frame !== null && countPixels(bytes, frame.dataAt, frame.pixels) >= frame.pixels;
}

function firstFrame(bytes: Uint8Array): { pixels: number; dataAt: number } | null {
  let at = 13 + colorTableBytes(bytes[10]);
  while (bytes[at] === extension) at = endOfBlocks(bytes, at + 2);
  if (bytes[at] !== imageDescriptor || at + 10 > bytes.length) return null;
  const side = (from: number) => (bytes[from] ?? 0) | ((bytes[from + 1] ?? 0) << 8);
  return {
    pixels: side(at + 5) * side(at + 7),
    dataAt: at + 10 + colorTableBytes(bytes[at + 9]),
  };
}

const extension = 0x21;
const imageDescriptor = 0x2c;
const codesMax = 4_096;

function colorTableBytes(flags = 0): number {
  return flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0;
}

/** Behind a row of sub-blocks, each with its length before it. */
function endOfBlocks(bytes: Uint8Array, from: number): number {
  let at = from;
  for (let length = bytes[at] ?? 0; length > 0; length = bytes[at] ?? 0) at += 1 + length;
  return at + 1;
}

/** How many pixels the codes stand for, up to `wanted`. */
function countPixels(bytes: Uint8Array, dataAt: number, wanted: number): number {
  const clear = 1 << (bytes[dataAt] ?? 0);
  if (clear < 2 || clear > 2_048) return 0;
  const lengths = new Uint32Array(codesMax + 1).fill(1, 0, clear); // of each code's pixels
  let next = clear + 2;
  let size = Math.log2(clear) + 1;
  let before = 0; // the length of the code before; 0 behind a clear code
  let pixels = 0;
  let bits = 0;
  let bitCount = 0;
  let at = dataAt + 1;
  for (let left = bytes[at] ?? 0; left > 0; left = bytes[at] ?? 0) {
    const end = Math.min(at + 1 + left, bytes.length);
    for (at += 1; at < end; at += 1) {
      bits |= (bytes[at] ?? 0) << bitCount;
      bitCount += 8;
      while (bitCount >= size) {
        const code = bits & ((1 << size) - 1);
        bits >>>= size;
        bitCount -= size;
        if (code === clear) {
          [next, size, before] = [clear + 2, Math.log2(clear) + 1, 0];
          continue;
        }
        if (code === clear + 1) return pixels;
        if (before > 0 && next < codesMax) {
          lengths[next] = before + 1;
          next += 1;
          if (next === 1 << size && size < 12) size += 1;
        }
        if (code >= next) return pixels; // a code that nobody defined
        before = lengths[code] ?? 0;
        pixels += before;
        if (pixels >= wanted) return pixels;
      }
    }
  }
  return pixels;
}
