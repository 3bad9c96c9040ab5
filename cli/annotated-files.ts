import { stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { makeFolder } from "../adapters/disk.ts";
import type { TaskResult } from "../schema/result.ts";
import { annotate } from "./annotate.ts";
import { usageError } from "./failure.ts";

/**
 * Where the annotated picture of each image goes: `out` itself for one image, `out/<name>.png` for several (or where `out` is a folder).
 * Throws AppError INVALID rather than let a picture take the place of an image or of another picture.
 */
export async function planPictures(
  images: readonly string[],
  out: string | null,
): Promise<string[]> {
  if (out === null) return [];
  const isFolder =
    images.length > 1 ||
    out.endsWith(path.sep) ||
    (await stat(out).catch(() => null))?.isDirectory() === true;
  if (!isFolder && path.extname(out).toLowerCase() !== ".png")
    throw usageError(`--out ${out} is no PNG file.`, "Give it a name that ends in .png.");
  const pictures = images.map((image) =>
    isFolder ? path.join(out, `${path.parse(image).name}.png`) : out,
  );
  const taken = new Set(images.map((image) => path.resolve(image)));
  for (const picture of pictures) {
    const place = path.resolve(picture);
    if (taken.has(place))
      throw usageError(
        `${picture} would be written over.`,
        "Choose another --out, or give images of the same name one by one.",
      );
    taken.add(place);
  }
  return pictures;
}

/** Draws results on an image's bytes and writes the picture; its folder is made where it is missing. */
export async function writePicture(
  picture: string,
  image: Uint8Array,
  results: readonly TaskResult[],
): Promise<void> {
  makeFolder(path.dirname(picture), 0o777);
  await writeFile(picture, await annotate(image, results));
}
