import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { dirname } from "node:path";
import { diskError, makeFolder, writeFileDurably } from "./disk.ts";

/**
 * Copies a file durably. Returns what was read; throws AppError INTERNAL if a disk refuses, ENOENT
 * as it is.
 */
export async function copyFile(
  from: string,
  to: string,
): Promise<{ byteSize: number; sha256: string }> {
  const hash = createHash("sha256");
  let byteSize = 0;
  makeFolder(dirname(to));
  await writeFileDurably(to, read());
  return { byteSize, sha256: hash.digest("hex") };

  async function* read(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of createReadStream(from)) {
        hash.update(chunk);
        byteSize += chunk.length;
        yield chunk;
      }
    } catch (error) {
      if (isMissing(error)) throw new MissingFile(from);
      throw diskError(error, from);
    }
  }
}

/** The file to copy is not there. */
export class MissingFile extends Error {
  constructor(path: string) {
    super(`${path} is missing.`);
    this.name = "MissingFile";
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
