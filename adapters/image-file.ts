import { join } from "node:path";
import type { StoredImage } from "../core/run.ts";
import { type Row, text } from "./sqlite.ts";

/**
 * An image's file below the data folder, as the first releases named it; newer names have a part
 * more.
 */
export function fileOf(tenantId: string, { id, sha256 }: StoredImage): string {
  return join("images", tenantId, sha256.slice(0, 2), id);
}

/** The same, from the columns "data" and "file" of an image. */
export function imageFileIn(tenantId: string, row: Row): string {
  return row.file === null ? fileOf(tenantId, imageIn(row)) : text(row, "file");
}

export function imageIn(row: Row): StoredImage {
  const image: StoredImage = JSON.parse(text(row, "data"));
  return image;
}
