import { AppError } from "../core/errors.ts";
import { limits } from "../core/limits.ts";
import type { ImageWarning, StoredImage } from "../core/run.ts";
import type { Size } from "../schema/geometry.ts";
import { type JpegHeader, readJpegHeader } from "./jpeg-header.ts";
import { sniffMediaType } from "./media-type.ts";

/** What a file says of itself before anything of it is decoded. */
export interface ImageHeader extends Size {
  readonly mediaType: StoredImage["mediaType"];
  /** What decoding must hold in memory at once, but for rows of pixels. */
  readonly decodedBytes: number;
  /** Pixels that are gone through in all: of each scan of a JPEG. */
  readonly work: number;
  readonly warnings: readonly ImageWarning[];
  /** Of a JPEG of one scan: where its data end. */
  readonly onePassEnd: number | null;
}

/**
 * The header of a file whose decoding is bounded in time and memory, by what the header says.
 * Throws AppError SOURCE_UNSUPPORTED (another type), SOURCE_TOO_LARGE or SOURCE_CORRUPT.
 */
export function checkHeader(bytes: Uint8Array): ImageHeader {
  const { bytesMax, sideMax, pixelsMax, decodedBytesMax } = limits.image;
  if (bytes.byteLength > bytesMax)
    throw tooLarge(`The file has ${bytes.byteLength} bytes; at most ${bytesMax} are taken.`);
  const sniffed = sniffMediaType(bytes);
  if (sniffed.mediaType === null)
    throw new AppError(
      "SOURCE_UNSUPPORTED",
      `The file is not a JPEG, PNG, WebP or GIF; it looks like ${sniffed.looksLike}.`,
      { fix: sniffed.fix ?? "Convert it to JPEG, PNG, WebP or GIF." },
    );
  const header = readers[sniffed.mediaType](bytes);
  if (!header || header.width === 0 || header.height === 0) throw corrupt();
  const { width, height } = header;
  if (Math.max(width, height) > sideMax || width * height > pixelsMax)
    throw tooLarge(
      `The image is ${width} × ${height}; at most ${pixelsMax} pixels and ${sideMax} a side are taken.`,
    );
  if (header.decodedBytes > decodedBytesMax)
    throw new AppError(
      "SOURCE_TOO_LARGE",
      `Decoding this file takes ${megabytes(header.decodedBytes)} MB of memory at once; at most ${megabytes(decodedBytesMax)} MB are given.`,
      { fix: "Save it with 8 bits a channel and without interlacing, or send a smaller image." },
    );
  return { ...header, mediaType: sniffed.mediaType };
}

/** A file as decoders want it: with the end marker that it may lack. */
export function completed(bytes: Uint8Array, { warnings }: ImageHeader): Uint8Array {
  if (!warnings.includes("END_MARKER_MISSING")) return bytes;
  return Buffer.concat([bytes, endMarker]);
}

export function corrupt(cause?: unknown): AppError {
  return new AppError("SOURCE_CORRUPT", "The file is damaged or cut short.", {
    fix: "Send the whole file again.",
    cause,
  });
}

const endMarker = Uint8Array.of(0xff, 0xd9);

type Facts = Omit<ImageHeader, "mediaType">;

const readers: Readonly<Record<StoredImage["mediaType"], (bytes: Uint8Array) => Facts | null>> = {
  "image/jpeg": readJpeg,
  "image/png": readPng,
  "image/webp": readWebp,
  "image/gif": readGif,
};

function readJpeg(bytes: Uint8Array): Facts | null {
  const { scansMax } = limits.image;
  const header = readJpegHeader(bytes, scansMax);
  if (!header) return null;
  if (header.scans > scansMax)
    throw new AppError(
      "SOURCE_TOO_LARGE",
      `The JPEG has more than ${scansMax} scans; photographs have about ten.`,
      { fix: "Save it again as an ordinary (baseline) JPEG." },
    );
  const { width, height, scans, decodedBytes, onePassEnd } = header;
  return {
    width,
    height,
    decodedBytes,
    onePassEnd,
    work: scans * width * height,
    warnings: warningsOf(header),
  };
}

/**
 * Without its end marker a JPEG is whole if its scans are all there; that the last one is whole
 * shows when it is decoded.
 */
function warningsOf({ hasEnd, isComplete }: JpegHeader): ImageWarning[] {
  if (hasEnd) return [];
  if (!isComplete) throw corrupt();
  return ["END_MARKER_MISSING"];
}

/** Channels by color type (PNG, section 11.2.1). */
const pngChannels = new Map([
  [0, 1],
  [2, 3],
  [3, 1],
  [4, 2],
  [6, 4],
]);

function readPng(bytes: Uint8Array): Facts | null {
  const view = viewOf(bytes);
  if (bytes.length < 33 || view.getUint32(8) !== 13 || textAt(bytes, 12) !== "IHDR") return null;
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  const channels = pngChannels.get(view.getUint8(25));
  if (channels === undefined) return null;
  // Grey and palette images with transparency unfold to 4 channels; less than 8 bits to 8.
  const pixelBytes = Math.max(channels, 4) * (view.getUint8(24) === 16 ? 2 : 1);
  const isInterlaced = view.getUint8(28) !== 0;
  return {
    ...factsOf({ width, height }),
    decodedBytes: width * (isInterlaced ? height : Math.min(height, 64)) * pixelBytes,
  };
}

/** RIFF, then a first chunk that tells the size (RFC 9649). */
function readWebp(bytes: Uint8Array): Facts | null {
  const view = viewOf(bytes);
  if (bytes.length < 30) return null;
  const size = webpSize(view, textAt(bytes, 12));
  return size && { ...factsOf(size), decodedBytes: size.width * size.height * 4 };
}

function webpSize(view: DataView, chunk: string): Size | null {
  const word24 = (at: number) => view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
  if (chunk === "VP8X") return { width: word24(24) + 1, height: word24(27) + 1 };
  if (chunk === "VP8 ")
    return {
      width: view.getUint16(26, true) & 0x3fff,
      height: view.getUint16(28, true) & 0x3fff,
    };
  if (chunk !== "VP8L") return null;
  const bits = view.getUint32(21, true);
  return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
}

/** The screen, on which frames are drawn. */
function readGif(bytes: Uint8Array): Facts | null {
  if (bytes.length < 13) return null;
  const view = viewOf(bytes);
  const [width, height] = [view.getUint16(6, true), view.getUint16(8, true)];
  if (!isGif(bytes)) return null;
  return { ...factsOf({ width, height }), decodedBytes: width * height * 4 };
}

/** Behind the screen and its colors comes a block: an extension or a picture. */
function isGif(bytes: Uint8Array): boolean {
  const flags = bytes[10] ?? 0;
  const block = bytes[13 + (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0)];
  return block === 0x21 || block === 0x2c;
}

function factsOf({ width, height }: Size): Facts {
  return { width, height, decodedBytes: 0, work: width * height, warnings: [], onePassEnd: null };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function textAt(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + 4));
}

function megabytes(bytes: number): number {
  return Math.ceil(bytes / 1e6);
}

function tooLarge(message: string): AppError {
  return new AppError("SOURCE_TOO_LARGE", message, {
    fix: "Send a smaller image; the model looks at 768 × 768 pixels.",
  });
}
