import { createHash } from "node:crypto";
import { AppError } from "../core/errors.ts";
import { limits } from "../core/limits.ts";
import type { StoredImage } from "../core/run.ts";
import { checkHeader } from "../images/header.ts";
import type { RequestContext } from "./context.ts";
import { fetchImage } from "./fetch-image.ts";
import { base64InTurns, ownTurn, sha256InTurns } from "./turns.ts";

/** The SDL's ImageSource: exactly one of them. */
export interface ImageSource {
  readonly url?: string;
  readonly uploadId?: string;
  readonly imageId?: string;
  readonly base64?: string;
}

/** An image that can be taken. `bytes` are still to be stored; null where they are. */
export interface TakenImage {
  readonly image: StoredImage;
  readonly bytes: Uint8Array | null;
}

/**
 * Finds or reads the image that a source names. Throws AppError with a path from the source's place
 * (["source", "url"] …).
 */
export async function takeImage(context: IntakeContext, source: ImageSource): Promise<TakenImage> {
  const [kind = "source"] = Object.keys(source);
  try {
    return source.imageId === undefined
      ? await identify(context, await readBytes(context, source))
      : await storedImage(context, source.imageId);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw new AppError(error.code, error.message, {
      path: ["source", kind],
      cause: error,
      ...(error.fix !== null && { fix: error.fix }),
    });
  }
}

type IntakeContext = Pick<RequestContext, "ports" | "caller" | "fetch" | "decode">;

async function storedImage({ ports, caller }: IntakeContext, imageId: string): Promise<TakenImage> {
  const image = isLikeId(imageId) && (await ports.images.get(caller.tenantId, imageId));
  if (!image)
    throw new AppError("NOT_FOUND", "There is no such image.", {
      fix: "Take the id from the `image` of an earlier run.",
    });
  return { image, bytes: null };
}

async function readBytes(context: IntakeContext, source: ImageSource): Promise<Uint8Array> {
  if (source.url !== undefined) return fetchImage(source.url, context.fetch);
  if (source.uploadId !== undefined) return readUpload(context, source.uploadId);
  return decodeBase64(source.base64 ?? "");
}

/** Some stores cannot even look for an id that is longer than any. */
function isLikeId(text: string): boolean {
  return text.length <= limits.request.idMax;
}

async function readUpload({ ports, caller }: IntakeContext, uploadId: string): Promise<Uint8Array> {
  const upload = isLikeId(uploadId) && (await ports.images.getUpload(caller.tenantId, uploadId));
  if (!upload)
    throw new AppError("NOT_FOUND", "There is no such upload.", {
      fix: "Prepare one with uploadsCreate.",
    });
  const bytes = await ports.images.readUpload(caller.tenantId, uploadId);
  if (!bytes)
    throw new AppError("UPLOAD_INCOMPLETE", "Nothing has been uploaded yet.", {
      fix: "PUT the file to the upload's URL first.",
    });
  return bytes;
}

async function decodeBase64(text: string): Promise<Uint8Array> {
  const { base64BytesMax } = limits.image;
  if (text.startsWith("data:")) {
    throw new AppError("INVALID", "This is a data: URL.", {
      fix: "Send only what follows the comma.",
    });
  }
  if (text.length > Math.ceil(base64BytesMax / 3) * 4) {
    throw new AppError("SOURCE_TOO_LARGE", `base64 takes at most ${base64BytesMax} bytes.`, {
      fix: "Upload the file with uploadsCreate.",
    });
  }
  if (text === "") {
    throw new AppError("INVALID", "There is nothing in it.", {
      fix: "Send the file's bytes as base64; this text is empty.",
    });
  }
  const bytes = await base64InTurns(text);
  if (!bytes) {
    throw new AppError("INVALID", "This is not base64.", {
      fix: "Use the alphabet A–Z a–z 0–9 + / with padding (=), without spaces and line breaks.",
    });
  }
  return bytes;
}

/** What is smaller is looked through at once. */
const largeBytes = 1_000_000;

/** An image that this tenant has stored before is known by its bytes and not decoded again. */
async function identify(context: IntakeContext, bytes: Uint8Array): Promise<TakenImage> {
  const { ports, caller, decode } = context;
  const sha256 = await sha256InTurns(bytes);
  const id = imageIdOf(caller.tenantId, sha256);
  const known = await ports.images.get(caller.tenantId, id);
  if (known) return { image: known, bytes: null };
  if (bytes.byteLength > largeBytes) await ownTurn(); // every byte of a JPEG is looked at
  const header = checkHeader(bytes);
  const size = await decode(bytes, header);
  const { mediaType, warnings } = header;
  const odd = warnings.length > 0 ? { warnings } : {};
  return { image: { id, sha256, mediaType, byteSize: bytes.byteLength, ...size, ...odd }, bytes };
}

const base32 = "abcdefghijklmnopqrstuvwxyz234567";

/**
 * 26 base32 digits, 130 bits: the same for the same bytes of the same tenant, and no word about
 * another's.
 */
function imageIdOf(tenantId: string, sha256: string): string {
  const digest = createHash("sha256").update(`${tenantId}:${sha256}`).digest();
  return `img_${[...digest.subarray(0, 26)].map((byte) => base32[byte & 31]).join("")}`;
}
