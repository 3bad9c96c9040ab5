import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";

/**
 * Lies in a model's folder and lists its files in the form of sha256sum: `sha256sum -c SHA256SUMS`
 * checks them too.
 */
const checksumsFile = "SHA256SUMS";

/** Writes the sha256 of files (paths relative to the folder) beside them. */
export async function writeChecksums(folder: string, files: readonly string[]): Promise<void> {
  const lines = await Promise.all(
    files.map(async (file) => `${await sha256Of(path.join(folder, file))}  ${file}\n`),
  );
  await writeFile(path.join(folder, checksumsFile), lines.join(""));
}

/**
 * The files that no longer have the sha256 that is written down, each with what is wrong; null
 * where nothing is written down.
 */
export async function checkChecksums(folder: string): Promise<string[] | null> {
  const content = await readFile(path.join(folder, checksumsFile), "utf8").catch(absent);
  if (content === null) return null;
  const lines = content.split("\n").filter(Boolean);
  const parsed = lines.map((line) => ({ line, match: /^([0-9a-f]{64}) [ *](.+)$/.exec(line) }));
  const listed = parsed.flatMap(({ match }) =>
    match?.[1] && match[2] ? [{ sha256: match[1], path: match[2] }] : [],
  );
  const strange = parsed
    .filter(({ match }) => !match)
    .map(({ line }) => `${checksumsFile} has a line that is no checksum: ${line}`);
  return [...strange, ...(await compareFiles(folder, listed))];
}

/** The files of a list that do not have the sha256 that it names, each with what is wrong. */
export async function compareFiles(
  folder: string,
  listed: readonly { path: string; sha256: string }[],
): Promise<string[]> {
  const checks = listed.map(async ({ path: file, sha256 }): Promise<string[]> => {
    const found = await sha256Of(path.join(folder, file)).catch(absent);
    if (found === null) return [`${file} is missing`];
    return found === sha256 ? [] : [`${file} has changed: its sha256 is ${found}, not ${sha256}`];
  });
  return (await Promise.all(checks)).flat();
}

/** In hexadecimal digits. */
export async function sha256Of(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash);
  return hash.digest("hex");
}

function absent(error: unknown): null {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
  throw error;
}
