import type { Clock, Images } from "../../core/ports.ts";
import type { ImageWarning, StoredImage } from "../../core/run.ts";
import { imageKey, imagesPrefix, tenantPrefix } from "./s3-keys.ts";
import {
  type Bucket,
  headObject,
  listKeys,
  putObject,
  readObject,
  removeObject,
  removeObjects,
} from "./s3-objects.ts";
import { s3Uploads } from "./s3-uploads.ts";

export interface S3Images extends Images {
  /** Deletes an image's bytes and all that is known of them. */
  erase(tenantId: string, imageId: string): Promise<void>;
  /** Deletes some of a tenant's objects. Gives how many: none if there are none. */
  eraseTenant(tenantId: string): Promise<{ objects: number; images: number; uploads: number }>;
}

/**
 * Images and uploads in a bucket, without a table: what is known of an image is the metadata of its
 * object. Clients PUT their uploads to the bucket directly. When images and uploads end is for the
 * bucket's lifecycle rules to say.
 */
export function s3Images(bucket: Bucket, clock: Clock): S3Images {
  const get = async (tenantId: string, imageId: string): Promise<StoredImage | null> => {
    const key = imageKey(tenantId, imageId);
    const object = key && (await headObject(bucket, key));
    if (!object) return null;
    const { ContentLength: byteSize, ContentType: mediaType, Metadata: metadata } = object;
    const [width, height] = [Number(metadata?.width), Number(metadata?.height)];
    if (
      !isMediaType(mediaType) ||
      byteSize === undefined ||
      !metadata?.sha256 ||
      !(width > 0) ||
      !(height > 0)
    ) {
      throw new Error(
        `The object of image ${imageId} was not written by us: its type or metadata are missing.`,
      );
    }
    const warnings = metadata.warnings?.split(" ").filter(isWarning) ?? [];
    const odd = warnings.length > 0 ? { warnings } : {};
    return { id: imageId, sha256: metadata.sha256, mediaType, byteSize, width, height, ...odd };
  };

  return {
    ...s3Uploads(bucket, clock),
    async put(tenantId, image, bytes) {
      const key = imageKey(tenantId, image.id);
      if (!key) throw new Error("An image's or a tenant's id has characters that ours never have.");
      await putObject(bucket, key, {
        bytes,
        sha256: image.sha256,
        mediaType: image.mediaType,
        metadata: {
          sha256: image.sha256,
          width: String(image.width),
          height: String(image.height),
          ...(image.warnings && { warnings: image.warnings.join(" ") }),
        },
      });
    },
    get,
    async list(tenantId, { first, after }) {
      const prefix = imagesPrefix(tenantId);
      const found: StoredImage[] = [];
      for (let place = after; prefix !== null && found.length === 0; ) {
        const from = place === null ? null : imageKey(tenantId, place);
        const keys = await listKeys(bucket, { prefix, after: from, max: first });
        if (keys.length === 0) break;
        const ids = keys.map((key) => key.slice(prefix.length));
        const images = await Promise.all(ids.map((id) => get(tenantId, id)));
        found.push(...images.filter((image) => image !== null)); // some may be gone meanwhile
        place = ids.at(-1) ?? null;
      }
      return found;
    },
    async read(tenantId, imageId) {
      const key = imageKey(tenantId, imageId);
      return key === null ? null : readObject(bucket, key);
    },
    async erase(tenantId, imageId) {
      const key = imageKey(tenantId, imageId);
      if (key !== null) await removeObject(bucket, key);
    },
    async eraseTenant(tenantId) {
      const prefix = tenantPrefix(tenantId);
      const keys = prefix === null ? [] : await removeObjects(bucket, prefix);
      const count = (part: string) =>
        keys.filter((key) => key.startsWith(`${prefix}${part}`)).length;
      return { objects: keys.length, images: count("images/"), uploads: count("uploads/") };
    },
  };
}

const mediaTypes: readonly (string | undefined)[] = [
  "image/jpeg",
  "image/png",
  "image/webp",
  "image/gif",
] satisfies StoredImage["mediaType"][];

const imageWarnings: readonly string[] = ["END_MARKER_MISSING"] satisfies ImageWarning[];

function isWarning(text: string): text is ImageWarning {
  return imageWarnings.includes(text);
}

function isMediaType(type: string | undefined): type is StoredImage["mediaType"] {
  return mediaTypes.includes(type);
}
