import sharp from "sharp";
import { AppError } from "../core/errors.ts";
import type { Size } from "../schema/geometry.ts";
import { isFirstFrameWhole } from "./gif-frame.ts";
import { completed, corrupt, type ImageHeader } from "./header.ts";

/** Decodes an image whose header was checked. */
export type Decode = (bytes: Uint8Array, header: ImageHeader) => Promise<Size>;

/**
 * Decodes an image to its end, in this process, and returns its size as it is seen, EXIF
 * orientation applied. Throws AppError SOURCE_CORRUPT if the data are not what the header
 * announces.
 */
export async function decodeWhole(bytes: Uint8Array, header: ImageHeader): Promise<Size> {
  try {
    return await readToTheEnd(completed(bytes, header), header);
  } catch (error) {
    throw error instanceof AppError ? error : corrupt(error);
  }
}

async function readToTheEnd(bytes: Uint8Array, header: ImageHeader): Promise<Size> {
  const { width, height, autoOrient } = await sharp(bytes, { limitInputPixels: false }).metadata();
  if (width !== header.width || height !== header.height) throw otherSize(header);
  if (header.mediaType === "image/gif" && !isFirstFrameWhole(bytes)) throw corrupt();
  if (header.mediaType !== "image/jpeg") await decode(bytes, "error");
  else if (header.onePassEnd !== null) await decode(openEnded(bytes, header.onePassEnd), "error");
  else await decodeStrictly(bytes);
  return { width: autoOrient.width, height: autoOrient.height };
}

/**
 * A JPEG of one scan whose data are followed by a few 1-bits, no code of any table, instead of the
 * end marker: libjpeg only warns of a marker that comes too early, and libvips does not look at the
 * warnings of the last rows; but both fail at once where the file ends. libjpeg reads 8 bytes
 * ahead.
 */
function openEnded(bytes: Uint8Array, end: number): Uint8Array {
  return Buffer.concat([bytes.subarray(0, end), stuffedOnes]);
}

const stuffedOnes = Buffer.from("ff00".repeat(9), "hex");

/**
 * A JPEG of several scans is read to its end before the first row comes out, so that all warnings
 * are known.
 */
async function decodeStrictly(bytes: Uint8Array): Promise<void> {
  try {
    await decode(bytes, "warning");
  } catch (error) {
    if (isDamage(error)) throw error;
    await decode(bytes, "error");
  }
}

/**
 * Cheap in pixels (a JPEG shrinks while it is decoded) yet reads all the data of the first frame.
 */
async function decode(bytes: Uint8Array, failOn: "error" | "warning"): Promise<void> {
  await sharp(bytes, { failOn, limitInputPixels: false, sequentialRead: true })
    .resize(8, 8, { fit: "fill", kernel: "nearest" })
    .raw()
    .toBuffer();
}

/**
 * libjpeg warns of what matters (data that end too soon, codes that do not exist) and of what does
 * not (bytes between two segments, as some cameras write them; unknown versions of JFIF).
 */
function isDamage(error: unknown): boolean {
  const reason = error instanceof Error ? error.message : "";
  return !/\d+ extraneous bytes before marker|JFIF major revision|Adobe color transform/i.test(
    reason,
  );
}

function otherSize({ width, height }: ImageHeader): AppError {
  return new AppError(
    "SOURCE_CORRUPT",
    `The file announces ${width} × ${height} pixels, but its picture has another size.`,
    { fix: "Save it again, as PNG." },
  );
}
