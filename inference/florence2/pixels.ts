import sharp from "sharp";
import { AppError } from "../../core/errors.ts";
import { limits } from "../../core/limits.ts";
import { checkHeader, completed } from "../../images/header.ts";
import type { Size } from "../../schema/geometry.ts";
import { withRoom } from "./decode-room.ts";
import type { PixelFormat } from "./model-config.ts";

/** An image as a model's graph takes it. */
export interface Pixels {
  /** Of the oriented image. */
  readonly size: Size;
  /** [3, height, width] of the model. */
  readonly values: Float32Array;
  /** Decoding, orientation, colour and size (libvips does them in one go); then normalisation. */
  readonly timings: { readonly decodeMs: number; readonly pixelsMs: number };
}

/**
 * Decodes an image (of an animation the first frame), turns it as its EXIF orientation says, lays
 * it over white and resizes it to the model's size without keeping the aspect ratio. Throws
 * AppError SOURCE_UNSUPPORTED, SOURCE_CORRUPT or SOURCE_TOO_LARGE.
 */
export async function readPixels(bytes: Uint8Array, format: PixelFormat): Promise<Pixels> {
  const started = performance.now();
  const { size, rgb } = await decode(bytes, format).catch((error: unknown) => {
    throw sourceError(error);
  });
  const decoded = performance.now();
  const values = normalize(rgb, format);
  return {
    size,
    values,
    timings: { decodeMs: decoded - started, pixelsMs: performance.now() - decoded },
  };
}

async function decode(
  bytes: Uint8Array,
  format: PixelFormat,
): Promise<{ size: Size; rgb: Uint8Array }> {
  const header = checkHeader(bytes);
  const image = sharp(completed(bytes, header), {
    limitInputPixels: limits.image.pixelsMax,
    // Where the end marker was put behind the data, nothing but a warning tells that data are
    // missing.
    failOn: header.warnings.includes("END_MARKER_MISSING") ? "warning" : "error",
    autoOrient: true,
  });
  const { autoOrient, orientation = 1 } = await image.metadata();
  const { width, height } = autoOrient;
  const turnedBytes = orientation > 1 ? 4 * width * height : 0; // turning needs the whole image at once
  const rgb = await withRoom(header.decodedBytes + turnedBytes, () =>
    image
      .flatten({ background: "#ffffff" })
      .resize(format.width, format.height, {
        fit: "fill",
        kernel: "cubic",
        fastShrinkOnLoad: false,
      })
      .toColourspace("srgb")
      .raw({ depth: "uchar" })
      .toBuffer(),
  );
  return { size: { width, height }, rgb };
}

/**
 * Interleaved bytes [height, width, 3] to planes [3, height, width] of normalised numbers; a byte
 * has 256 values, so each is computed once.
 */
function normalize(rgb: Uint8Array, { scale, mean, deviation }: PixelFormat): Float32Array {
  const plane = rgb.length / 3;
  const values = new Float32Array(rgb.length);
  for (let channel = 0; channel < 3; channel += 1) {
    const offset = channel * plane;
    const table = Float32Array.from(
      { length: 256 },
      (_, byte) => (byte * scale - (mean[channel] ?? 0)) / (deviation[channel] ?? 1),
    );
    for (let i = 0; i < plane; i += 1) values[offset + i] = table[rgb[3 * i + channel] ?? 0] ?? 0;
  }
  return values;
}

function sourceError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new AppError("SOURCE_CORRUPT", `The image cannot be decoded: ${reason}.`, {
    fix: "Send the whole, undamaged file.",
    cause: error,
  });
}
