import sharp from "sharp";
import { AppError } from "../core/errors.ts";
import { limits } from "../core/limits.ts";
import type { StoredImage } from "../core/run.ts";
import type { Size } from "../schema/geometry.ts";
import { sniffMediaType } from "./media-type.ts";

/** Leaves libvips only the loaders of the four types that are taken, for this process: a file that fooled the check below finds no decoder. */
export function allowImageLoadersOnly(): void {
  sharp.block({ operation: ["VipsForeignLoad"] });
  sharp.unblock({
    operation: [
      "VipsForeignLoadJpegBuffer",
      "VipsForeignLoadPngBuffer",
      "VipsForeignLoadWebpBuffer",
      "VipsForeignLoadNsgifBuffer",
    ],
  });
}

/**
 * The type and oriented size of an image whose bytes can be decoded to the end. Throws AppError SOURCE_UNSUPPORTED (another type),
 * SOURCE_TOO_LARGE (judged by the header, before a pixel is decoded) or SOURCE_CORRUPT.
 */
export async function probeImage(
  bytes: Uint8Array,
): Promise<Size & Pick<StoredImage, "mediaType">> {
  if (bytes.byteLength > limits.image.bytesMax)
    throw tooLarge(
      `The file has ${bytes.byteLength} bytes; at most ${limits.image.bytesMax} are taken.`,
    );
  const sniffed = sniffMediaType(bytes);
  if (sniffed.mediaType === null) {
    throw new AppError(
      "SOURCE_UNSUPPORTED",
      `The file is not a JPEG, PNG, WebP or GIF; it looks like ${sniffed.looksLike}.`,
      {
        fix: "Convert it to JPEG, PNG, WebP or GIF.",
      },
    );
  }
  const size = await readSize(bytes);
  if (
    Math.max(size.width, size.height) > limits.image.sideMax ||
    size.width * size.height > limits.image.pixelsMax
  ) {
    throw tooLarge(
      `The image is ${size.width} × ${size.height}; at most ${limits.image.pixelsMax} pixels and ${limits.image.sideMax} a side are taken.`,
    );
  }
  await decodeWhole(bytes);
  return { ...size, mediaType: sniffed.mediaType };
}

async function readSize(bytes: Uint8Array): Promise<Size> {
  try {
    const { width, height } = (await sharp(bytes, { limitInputPixels: false }).metadata())
      .autoOrient;
    return { width, height };
  } catch (error) {
    throw corrupt(error);
  }
}

/** Cheap in pixels (a JPEG shrinks while it is decoded) yet reads all the data of the first frame, so a cut or broken file shows here. */
async function decodeWhole(bytes: Uint8Array): Promise<void> {
  const options = {
    failOn: "error",
    limitInputPixels: limits.image.pixelsMax,
    sequentialRead: true,
  } as const;
  try {
    await sharp(bytes, options)
      .resize(8, 8, { fit: "fill", kernel: "nearest" })
      .timeout({ seconds: 10 })
      .raw()
      .toBuffer();
  } catch (error) {
    throw corrupt(error);
  }
}

function corrupt(cause: unknown): AppError {
  return new AppError("SOURCE_CORRUPT", "The file is damaged or cut short.", {
    fix: "Send the whole file again.",
    cause,
  });
}

function tooLarge(message: string): AppError {
  return new AppError("SOURCE_TOO_LARGE", message, {
    fix: "Send a smaller image; the model looks at 768 × 768 pixels.",
  });
}
