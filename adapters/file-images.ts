import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../core/errors.ts";
import type { Clock, Images, Upload, UploadReceiver } from "../core/ports.ts";
import { writeFileDurably } from "./disk.ts";
import { fileOf, imageFileIn, imageIn } from "./image-file.ts";
import { integer, type Row, type Sqlite, text } from "./sqlite.ts";

/**
 * Images and uploads: bytes in files under `folder`, all else in SQLite. Bytes are on the disk
 * before the record that promises them, and a path is made only from ids that a record vouches for.
 * Each file has a name of its own, so that deleting one never meets another that was stored again
 * meanwhile.
 */
export function fileImages(
  sqlite: Sqlite,
  clock: Clock,
  place: { folder: string; publicUrl: string; secret: string },
): { images: Images; uploads: UploadReceiver } {
  const uploadPath = (uploadId: string) => join(place.folder, "uploads", uploadId);
  const imageOf = (tenantId: string, imageId: string) => {
    const row = sqlite.first(
      "SELECT data, file FROM images WHERE tenant_id = ? AND id = ?",
      tenantId,
      imageId,
    );
    return row && { image: imageIn(row), file: imageFileIn(tenantId, row) };
  };

  const images: Images = {
    async put(tenantId, image, bytes) {
      if (imageOf(tenantId, image.id)) return;
      const file = `${fileOf(tenantId, image)}.${randomBytes(8).toString("hex")}`;
      await writeFileDurably(join(place.folder, file), [bytes]);
      const isStored = sqlite.write(() => {
        sqlite.run("DELETE FROM removed_images WHERE tenant_id = ? AND id = ?", tenantId, image.id);
        return sqlite.run(
          `INSERT OR IGNORE INTO images (tenant_id, id, data, file, unused_since)
           VALUES (?, ?, ?, ?, ?)`,
          ...[tenantId, image.id, JSON.stringify(image), file, clock.now()],
        );
      });
      if (isStored === 0) await rm(join(place.folder, file), { force: true }); // another was first
    },
    async get(tenantId, imageId) {
      return imageOf(tenantId, imageId)?.image ?? null;
    },
    async read(tenantId, imageId) {
      const found = imageOf(tenantId, imageId);
      if (!found) return null;
      return readFile(join(place.folder, found.file)).catch((error: unknown) => {
        if (imageOf(tenantId, imageId)?.file === found.file) throw error;
        return null; // it was deleted after its record was read
      });
    },
    async list(tenantId, { first, after }) {
      const sql = "SELECT data FROM images WHERE tenant_id = ? AND id > ? ORDER BY id LIMIT ?";
      return sqlite.all(sql, tenantId, after ?? "", first).map(imageIn);
    },
    async createUpload(tenantId, upload, keyId) {
      sqlite.run(
        "INSERT INTO uploads (id, tenant_id, byte_size, sha256, expires_at, key_id) VALUES (?, ?, ?, ?, ?, ?)",
        ...[upload.id, tenantId, upload.byteSize, upload.sha256, upload.expiresAt, keyId ?? null],
      );
      const signature = sign(upload, place.secret);
      return {
        method: "PUT",
        url: `${place.publicUrl}/uploads/${upload.id}?expires=${upload.expiresAt}&signature=${signature}`,
        headers: [{ name: "content-length", value: String(upload.byteSize) }],
      };
    },
    async getUpload(tenantId, uploadId) {
      const row = sqlite.first(
        "SELECT * FROM uploads WHERE id = ? AND tenant_id = ?",
        uploadId,
        tenantId,
      );
      return row && uploadIn(row);
    },
    async readUpload(tenantId, uploadId) {
      const row = sqlite.first(
        "SELECT id FROM uploads WHERE id = ? AND tenant_id = ? AND received_at IS NOT NULL",
        uploadId,
        tenantId,
      );
      return row && readFile(uploadPath(text(row, "id")));
    },
  };

  const uploads: UploadReceiver = {
    async accept(uploadId, signature, body) {
      const now = clock.now();
      const row = sqlite.first(
        `SELECT * FROM uploads WHERE id = ?1 AND received_at IS NULL AND expires_at > ?2 AND ${isAdmitted}`,
        uploadId,
        now,
      );
      const upload = row && uploadIn(row);
      if (!upload || !isSame(signature, sign(upload, place.secret))) throw noSuchUpload();
      await writeFileDurably(uploadPath(upload.id), asAnnounced(upload, body));
      // Of two PUTs at once, both have written the same bytes; the first to come here has used the
      // upload. The bytes may have come slowly: the key is looked at again.
      const used = sqlite.run(
        `UPDATE uploads SET received_at = ?2 WHERE id = ?1 AND received_at IS NULL AND ${isAdmitted}`,
        upload.id,
        clock.now(),
      );
      if (used > 0) return;
      const received = "SELECT 1 FROM uploads WHERE id = ? AND received_at IS NOT NULL";
      if (!sqlite.first(received, upload.id)) await rm(uploadPath(upload.id), { force: true });
      throw noSuchUpload();
    },
  };

  return { images, uploads };
}

/** The key that asked for an upload is alive at the instant ?2, and its tenant not disabled. */
const isAdmitted = `(key_id IS NULL OR EXISTS (
  SELECT 1 FROM api_keys JOIN tenants ON tenants.id = api_keys.tenant_id
  WHERE api_keys.id = uploads.key_id AND api_keys.revoked_at IS NULL
    AND (api_keys.expires_at IS NULL OR api_keys.expires_at > ?2) AND tenants.disabled_at IS NULL))`;

/**
 * Passes the bytes on while they are what was announced. The last check comes before the file gets
 * its name, so nothing else is kept.
 */
async function* asAnnounced(
  upload: Upload,
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const hash = createHash("sha256");
  let byteCount = 0;
  for await (const chunk of body) {
    byteCount += chunk.length;
    if (byteCount > upload.byteSize) {
      throw new AppError(
        "SOURCE_TOO_LARGE",
        `More bytes came than the ${upload.byteSize} that were announced.`,
        { fix: announceAnew },
      );
    }
    hash.update(chunk);
    yield chunk;
  }
  if (byteCount < upload.byteSize) {
    throw new AppError(
      "INVALID",
      `Only ${byteCount} of the ${upload.byteSize} announced bytes came.`,
      {
        fix: "PUT the whole file again.",
      },
    );
  }
  if (hash.digest("hex") !== upload.sha256) {
    throw new AppError("INVALID", "The bytes have another sha256 than the announced one.", {
      fix: announceAnew,
    });
  }
}

const announceAnew = "Call uploadsCreate with the size and sha256 of the file that you send.";

function noSuchUpload(): AppError {
  return new AppError(
    "NOT_FOUND",
    "There is no such upload to be made: its URL is unknown, expired or used.",
    {
      fix: "Call uploadsCreate for a new URL and use it as it is, once.",
    },
  );
}

function sign(upload: Upload, secret: string): string {
  return createHmac("sha256", secret)
    .update(`upload ${upload.id} ${upload.expiresAt}`)
    .digest("base64url");
}

/** In constant time, so that a signature cannot be guessed digit by digit. */
function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function uploadIn(row: Row): Upload {
  return {
    id: text(row, "id"),
    byteSize: integer(row, "byte_size"),
    sha256: text(row, "sha256"),
    expiresAt: integer(row, "expires_at"),
  };
}
