import sharp, { type Metadata } from "sharp";
import { AppError } from "../../core/errors.ts";
import { limits } from "../../core/limits.ts";
import type { Size } from "../../schema/geometry.ts";
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
 * Lets sharp read JPEG, PNG, WebP and GIF from memory and nothing else, in the whole process: the loaders of SVG, PDF, TIFF and others are
 * the attack surface of an image service.
 */
export function restrictLoaders(): void {
  sharp.block({ operation: ["VipsForeignLoad"] });
  sharp.unblock({
    operation: ["Jpeg", "Png", "Webp", "Nsgif"].map((format) => `VipsForeignLoad${format}Buffer`),
  });
}

/**
 * Decodes an image (of an animation the first frame), turns it as its EXIF orientation says, lays it over white and resizes it to the
 * model's size without keeping the aspect ratio. Throws AppError SOURCE_UNSUPPORTED, SOURCE_CORRUPT or SOURCE_TOO_LARGE.
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
  const image = sharp(bytes, {
    limitInputPixels: limits.image.pixelsMax,
    failOn: "error",
    autoOrient: true,
  });
  const size = checkSize(await image.metadata());
  const rgb = await image
    .flatten({ background: "#ffffff" })
    .resize(format.width, format.height, { fit: "fill", kernel: "cubic", fastShrinkOnLoad: false })
    .toColourspace("srgb")
    .raw({ depth: "uchar" })
    .toBuffer();
  return { size, rgb };
}

/** Refuses by what the header announces, before a pixel is decoded. */
function checkSize({ autoOrient: { width, height } }: Metadata): Size {
  const { sideMax, pixelsMax } = limits.image;
  if (width <= sideMax && height <= sideMax && width * height <= pixelsMax)
    return { width, height };
  throw new AppError("SOURCE_TOO_LARGE", `The image has ${width}×${height} pixels.`, {
    fix: `Send at most ${pixelsMax / 1e6} megapixels and no side longer than ${sideMax}.`,
  });
}

/** Interleaved bytes [height, width, 3] to planes [3, height, width] of normalised numbers; a byte has 256 values, so each is computed once. */
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
  if (/unsupported image format|is empty/.test(reason)) {
    return new AppError("SOURCE_UNSUPPORTED", "The bytes are not an image of a supported format.", {
      fix: "Send a JPEG, PNG, WebP or GIF.",
      cause: error,
    });
  }
  if (/exceeds pixel limit/.test(reason)) {
    return new AppError("SOURCE_TOO_LARGE", "The image has too many pixels.", {
      fix: `Send at most ${limits.image.pixelsMax / 1e6} megapixels.`,
      cause: error,
    });
  }
  return new AppError("SOURCE_CORRUPT", `The image cannot be decoded: ${reason}.`, {
    fix: "Send the whole, undamaged file.",
    cause: error,
  });
}
