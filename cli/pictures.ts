import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { packageRoot } from "../adapters/package-root.ts";
import type { Picture } from "../inference/compare/observe.ts";
import { usageError } from "./failure.ts";

/** The images that come with the package. */
export function samplesFolder(): string {
  return path.join(packageRoot(), "models", "samples");
}

/** Whether a name ends as those of the formats that are read. */
export function isImageName(name: string): boolean {
  return /\.(jpe?g|png|webp|gif)$/i.test(name);
}

/**
 * The images of a folder, by name; they are read when they are looked at. Throws AppError INVALID
 * where there are none.
 */
export async function picturesIn(folder: string): Promise<Picture[]> {
  const names = (await readdir(folder)).filter(isImageName).sort();
  if (names.length === 0)
    throw usageError(
      `There are no images in ${folder}.`,
      "Name a folder of JPEG, PNG, WebP or GIF files.",
    );
  return names.map((name) => ({ name, read: () => readFile(path.join(folder, name)) }));
}
