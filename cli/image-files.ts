import { constants } from "node:fs";
import { open, readdir, stat } from "node:fs/promises";
import path from "node:path";
import { AppError } from "../core/errors.ts";
import { limits } from "../core/limits.ts";
import { usageError } from "./failure.ts";
import { isImageName } from "./pictures.ts";

/**
 * Images to look at, by path, and how many other things lay in their folders or were named twice.
 */
export interface ImageFiles {
  readonly files: readonly string[];
  readonly skipped: number;
}

/**
 * Files as they are named, and of folders the images directly in them, by name. A file that is
 * named twice counts once. Throws AppError INVALID for a folder without images and for an address
 * of the web; the file system's error for a folder that cannot be read.
 */
export async function imageFiles(places: readonly string[]): Promise<ImageFiles> {
  const files = new Map<string, string>();
  let skipped = 0;
  const add = (file: string) => {
    const place = path.resolve(file);
    if (files.has(place)) skipped += 1;
    else files.set(place, file);
  };
  for (const place of places) {
    if (/^https?:\/\//i.test(place))
      throw usageError(
        `${place} is an address, and this command reads files.`,
        'Download it first, or let the API fetch it: `source: { url: "…" }`.',
      );
    const isFolder = (await stat(place).catch(() => null))?.isDirectory() === true;
    if (!isFolder) {
      add(place);
      continue;
    }
    const { images, others } = await imagesIn(place);
    skipped += others;
    for (const name of images) add(path.join(place, name));
  }
  return { files: [...files.values()], skipped };
}

async function imagesIn(folder: string): Promise<{ images: string[]; others: number }> {
  const entries = await readdir(folder, { withFileTypes: true });
  const images = entries
    .filter((entry) => isImageName(entry.name) && (entry.isFile() || entry.isSymbolicLink()))
    .map(({ name }) => name)
    .sort();
  if (images.length === 0)
    throw usageError(
      `There are no images in ${folder}.`,
      "Name a folder of JPEG, PNG, WebP or GIF files; its subfolders are not looked into.",
    );
  return { images, others: entries.length - images.length };
}

/**
 * The bytes of an image file. Throws AppError SOURCE_UNREACHABLE, SOURCE_UNSUPPORTED,
 * SOURCE_CORRUPT or SOURCE_TOO_LARGE, and the file system's own error. A pipe or a socket never
 * keeps it waiting.
 */
export async function readImageFile(file: string): Promise<Uint8Array> {
  const handle = await open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const found = await handle.stat();
    if (!found.isFile())
      throw new AppError("SOURCE_UNSUPPORTED", `${kindOf(found)} is no image file.`, {
        fix: "Write the image to a file and name that.",
      });
    if (found.size === 0)
      throw new AppError("SOURCE_CORRUPT", "The file is empty.", {
        fix: "Get it again from where it came from.",
      });
    if (found.size > limits.image.bytesMax)
      throw new AppError("SOURCE_TOO_LARGE", `The file has ${found.size} bytes.`, {
        fix: `Give at most ${limits.image.bytesMax}: scale it down, or store it as JPEG or WebP.`,
      });
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

function kindOf(found: Awaited<ReturnType<typeof stat>>): string {
  if (found.isDirectory()) return "A folder";
  if (found.isFIFO()) return "A pipe";
  return found.isSocket() ? "A socket" : "A device";
}
