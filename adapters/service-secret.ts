import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../core/errors.ts";
import { createFileDurably, diskError } from "./disk.ts";

/**
 * The service's secret, 32 random bytes in hexadecimal: made at the first start and kept in
 * DIR/secret.key, readable by the service's user alone. Of several processes that start at once,
 * all get the same. Throws AppError SETTING_INVALID where the file holds something else.
 */
export async function serviceSecret(dataDir: string): Promise<string> {
  const path = join(dataDir, "secret.key");
  let secret = await readIfThere(path);
  if (secret === null) {
    await createFileDurably(path, [Buffer.from(`${randomBytes(32).toString("hex")}\n`)]);
    secret = await readIfThere(path);
  }
  if (secret === null || !/^[0-9a-f]{64}$/.test(secret)) {
    throw new AppError("SETTING_INVALID", `${path} holds no secret of this service.`, {
      fix: "Restore the file from a backup. Deleting it makes a new secret, and all API keys and upload URLs invalid.",
    });
  }
  return secret;
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw diskError(error, path);
  }
}
