import { rename, rm } from "node:fs/promises";
import path from "node:path";
import { makeFolder as makeFolders } from "../adapters/disk.ts";

/**
 * Makes a folder: `fill` works in a hidden draft beside it, which takes its name, and the place of
 * an older folder, only when all is there. If `fill` throws, nothing is kept. What a killed process
 * left behind is removed by the next one.
 */
export async function makeFolder<Result>(
  folder: string,
  fill: (draft: string) => Promise<Result>,
): Promise<Result> {
  const draft = path.join(path.dirname(folder), `.${path.basename(folder)}.draft`);
  try {
    await rm(draft, { recursive: true, force: true });
    makeFolders(draft, 0o777);
    const result = await fill(draft);
    await replaceFolder(folder, draft);
    return result;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** Puts a folder in the place of another. */
export async function replaceFolder(folder: string, next: string): Promise<void> {
  const former = `${next}.former`;
  await rm(former, { recursive: true, force: true }); // of a process that was killed in between
  await rename(folder, former).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
  await rename(next, folder);
  await rm(former, { recursive: true, force: true });
}
