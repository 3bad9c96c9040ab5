import "./quiet-sdk.ts";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
  S3ServiceException,
} from "@aws-sdk/client-s3";

/**
 * A bucket and a client made by `openS3`, which may read, write and list it. Without s3:ListBucket,
 * S3 answers 403 instead of 404.
 */
export interface Bucket {
  readonly client: S3Client;
  readonly name: string;
}

/**
 * A client that adds no checksum of its own. With the SDK's default, a presigned PUT that names no
 * checksum carries the CRC32 of an empty body, which no real body has; what we PUT ourselves names
 * its sha256.
 */
export function openS3(config: S3ClientConfig): S3Client {
  return new S3Client({ ...config, requestChecksumCalculation: "WHEN_REQUIRED" });
}

/**
 * Stores an object whole; S3 refuses bytes that have another sha256 (hexadecimal) when they arrive.
 */
export async function putObject(
  bucket: Bucket,
  key: string,
  object: {
    bytes: Uint8Array;
    sha256: string;
    mediaType: string;
    metadata: Record<string, string>;
  },
): Promise<void> {
  await bucket.client.send(
    new PutObjectCommand({
      Bucket: bucket.name,
      Key: key,
      Body: object.bytes,
      ContentLength: object.bytes.byteLength,
      ContentType: object.mediaType,
      ChecksumSHA256: base64Of(object.sha256),
      Metadata: object.metadata,
    }),
  );
}

/** What S3 knows of an object besides its bytes; null where there is none. */
export function headObject(bucket: Bucket, key: string): Promise<HeadObjectCommandOutput | null> {
  return unlessMissing(() =>
    bucket.client.send(new HeadObjectCommand({ Bucket: bucket.name, Key: key })),
  );
}

/**
 * The bytes of an object; null where there is none, or where it has another size than the given
 * one: then nothing is loaded.
 */
export async function readObject(
  bucket: Bucket,
  key: string,
  byteSize?: number,
): Promise<Uint8Array | null> {
  const stop = new AbortController();
  const command = new GetObjectCommand({ Bucket: bucket.name, Key: key, ChecksumMode: "ENABLED" });
  const object = await unlessMissing(() =>
    bucket.client.send(command, { abortSignal: stop.signal }),
  );
  if (!object?.Body) return null;
  if (byteSize !== undefined && object.ContentLength !== byteSize) {
    stop.abort();
    return null;
  }
  return object.Body.transformToByteArray();
}

/** Does nothing if there is none. */
export async function removeObject(bucket: Bucket, key: string): Promise<void> {
  await bucket.client.send(new DeleteObjectCommand({ Bucket: bucket.name, Key: key }));
}

/** Deletes up to 1,000 objects whose keys begin so. Gives the keys. */
export async function removeObjects(bucket: Bucket, prefix: string): Promise<string[]> {
  const page = await bucket.client.send(
    new ListObjectsV2Command({ Bucket: bucket.name, Prefix: prefix }),
  );
  const keys = (page.Contents ?? []).flatMap(({ Key }) => (Key === undefined ? [] : [Key]));
  const open = [...keys];
  const work = async () => {
    for (let key = open.pop(); key !== undefined; key = open.pop()) await removeObject(bucket, key);
  };
  await Promise.all(Array.from({ length: 16 }, work));
  return keys;
}

/** Keys of a prefix in their order, from behind `after`. */
export async function listKeys(
  bucket: Bucket,
  { prefix, after, max }: { prefix: string; after: string | null; max: number },
): Promise<string[]> {
  const { Contents = [] } = await bucket.client.send(
    new ListObjectsV2Command({
      ...{ Bucket: bucket.name, Prefix: prefix, MaxKeys: max },
      ...(after !== null && { StartAfter: after }),
    }),
  );
  return Contents.flatMap(({ Key }) => Key ?? []);
}

/** A sha256 as S3 writes it, from a hexadecimal one. */
export function base64Of(sha256: string): string {
  return Buffer.from(sha256, "hex").toString("base64");
}

/**
 * GET answers NoSuchKey; HEAD has no body to say more than NotFound, whether the object or the
 * whole bucket is missing.
 */
async function unlessMissing<Answer>(call: () => Promise<Answer>): Promise<Answer | null> {
  try {
    return await call();
  } catch (error) {
    if (
      error instanceof S3ServiceException &&
      (error.name === "NotFound" || error.name === "NoSuchKey")
    )
      return null;
    throw error;
  }
}
