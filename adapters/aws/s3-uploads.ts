import { createHash } from "node:crypto";
import { type HeadObjectCommandOutput, PutObjectCommand } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { AppError } from "../../core/errors.ts";
import type { Clock, Images, Upload, UploadTarget } from "../../core/ports.ts";
import { uploadKeys } from "./s3-keys.ts";
import { type Bucket, base64Of, headObject, putObject, readObject } from "./s3-objects.ts";

/** SigV4 knows no longer-lived URL. */
const presignSecondsMax = 604_800;

/**
 * What the bytes are is found out from the bytes; until then they go by a type that no browser
 * shows as a page.
 */
const mediaType = "application/octet-stream";

type Uploads = Pick<Images, "createUpload" | "getUpload" | "readUpload">;

/**
 * Uploads that clients PUT to the bucket by a presigned URL. Size, type and sha256 are signed
 * headers, so S3 itself refuses other bytes; as whoever may write the bucket can write others, both
 * are checked again when the upload is read, and wrong bytes are as if they were not there. The URL
 * may be used again until it expires, for the same bytes only.
 */
export function s3Uploads(bucket: Bucket, clock: Clock): Uploads {
  const announced = async (tenantId: string, uploadId: string): Promise<Upload | null> => {
    const keys = uploadKeys(tenantId, uploadId);
    const object = keys && (await headObject(bucket, keys.announcement));
    return object && uploadIn(uploadId, object);
  };

  return {
    async createUpload(tenantId, upload) {
      const keys = uploadKeys(tenantId, upload.id);
      if (!keys)
        throw new Error("An upload's or a tenant's id has characters that ours never have.");
      const target = await presign(bucket, keys.bytes, { upload, now: clock.now() });
      await putObject(bucket, keys.announcement, {
        bytes: new Uint8Array(),
        sha256: createHash("sha256").digest("hex"),
        mediaType,
        metadata: {
          "byte-size": String(upload.byteSize),
          sha256: upload.sha256,
          "expires-at": String(upload.expiresAt),
        },
      });
      return target;
    },
    getUpload: announced,
    async readUpload(tenantId, uploadId) {
      const keys = uploadKeys(tenantId, uploadId);
      const upload = await announced(tenantId, uploadId);
      const bytes = keys && upload && (await readObject(bucket, keys.bytes, upload.byteSize));
      return bytes && createHash("sha256").update(bytes).digest("hex") === upload.sha256
        ? bytes
        : null;
    },
  };
}

/** Both ends in whole seconds, as SigV4 writes them, so that the URL never outlives the upload. */
async function presign(
  bucket: Bucket,
  key: string,
  { upload, now }: { upload: Upload; now: number },
): Promise<UploadTarget> {
  const expiresIn = Math.floor(upload.expiresAt / 1_000) - Math.floor(now / 1_000);
  if (expiresIn < 1 || expiresIn > presignSecondsMax) {
    throw new AppError(
      "INVALID",
      `S3 signs URLs for 1 to ${presignSecondsMax} seconds, not for ${expiresIn}.`,
      {
        fix: "Let uploads expire after seven days at the latest.",
      },
    );
  }
  const command = new PutObjectCommand({
    Bucket: bucket.name,
    Key: key,
    ContentLength: upload.byteSize,
    ContentType: mediaType,
    ChecksumSHA256: base64Of(upload.sha256),
  });
  const url = await getSignedUrl(bucket.client, command, {
    expiresIn,
    signingDate: new Date(now),
    // The presigner leaves the type unsigned and moves the checksum into the URL, where it would
    // not be held against the bytes.
    signableHeaders: new Set(["host", "content-length", "content-type", "x-amz-checksum-sha256"]),
    unhoistableHeaders: new Set(["x-amz-checksum-sha256"]),
  });
  return {
    method: "PUT",
    url,
    headers: [
      { name: "content-length", value: String(upload.byteSize) },
      { name: "content-type", value: mediaType },
      { name: "x-amz-checksum-sha256", value: base64Of(upload.sha256) },
    ],
  };
}

function uploadIn(id: string, { Metadata: metadata }: HeadObjectCommandOutput): Upload {
  const [byteSize, expiresAt, sha256] = [
    Number(metadata?.["byte-size"]),
    Number(metadata?.["expires-at"]),
    metadata?.sha256,
  ];
  if (!Number.isSafeInteger(byteSize) || !Number.isSafeInteger(expiresAt) || !sha256) {
    throw new Error(
      `The announcement of upload ${id} was not written by us: its metadata are missing.`,
    );
  }
  return { id, byteSize, sha256, expiresAt };
}
