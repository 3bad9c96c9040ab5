import { realpathSync } from "node:fs";
import { rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { diskError, makeFolder } from "../adapters/disk.ts";
import type { TaskResult } from "../schema/result.ts";
import { annotate } from "./annotate.ts";
import { usageError } from "./failure.ts";

/**
 * Where the annotated picture of each image goes: `out` itself for one image, `out/<name>.png` for
 * several (or where `out` is a folder). Images of one name get numbers: x.png, x-2.png. Throws
 * AppError INVALID rather than let a picture take the place of an image.
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
  const taken = new Set<string>();
  const pictures = images.map((image) => {
    const picture = isFolder ? freeName(out, path.parse(image).name, taken) : out;
    taken.add(picture.toLowerCase());
    return picture;
  });
  const sources = new Set(images.map(placeOf));
  for (const picture of pictures) {
    if (sources.has(placeOf(picture)))
      throw usageError(`${picture} would be written over.`, "Choose another --out.");
  }
  return pictures;
}

/** File systems of Macs and Windows take names that differ in case alone for the same. */
function freeName(folder: string, name: string, taken: ReadonlySet<string>): string {
  for (let n = 1; ; n += 1) {
    const picture = path.join(folder, `${name}${n === 1 ? "" : `-${n}`}.png`);
    if (!taken.has(picture.toLowerCase())) return picture;
  }
}

/** Links followed, as writing does. */
function placeOf(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    return path.resolve(file); // not there yet
  }
}

/**
 * Draws results on an image's bytes and writes the picture whole or not at all; its folder is made
 * where it is missing. Throws AppError where the disk refuses.
 */
export async function writePicture(
  picture: string,
  image: Uint8Array,
  results: readonly TaskResult[],
): Promise<void> {
  const drawn = await annotate(image, results);
  const draft = `${picture}.${process.pid}.draft`;
  try {
    makeFolder(path.dirname(picture), 0o777);
    await writeFile(draft, drawn);
    await rename(draft, picture);
  } catch (error) {
    await rm(draft, { force: true }).catch(() => {}); // the first error is the one to tell
    throw diskError(error, picture);
  }
}
