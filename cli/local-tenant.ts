import { readFile } from "node:fs/promises";
import path from "node:path";
import { writeFileDurably } from "../adapters/disk.ts";
import type { Ports } from "../core/ports.ts";
import { keyAdmits, mintKey, parseKey, scopes } from "../core/tenant.ts";

const localTenant = { id: "ten_local", name: "local" };

/** The file of the local tenant's API key. */
export function localKeyFile(dataDir: string): string {
  return path.join(dataDir, "local.key");
}

/**
 * The API key of the local tenant, for the first steps on one's own machine: made at the first start and kept in DIR/local.key, readable by
 * this user alone. A key that this service does not know any more (another store, another secret, revoked) is replaced.
 */
export async function localKey(
  ports: Pick<Ports, "tenants" | "clock"> & { readonly secret: string },
  dataDir: string,
): Promise<{ text: string; isNew: boolean }> {
  const file = localKeyFile(dataDir);
  const kept = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  const parsed = parseKey(kept.trim());
  const stored = parsed && (await ports.tenants.findKey(parsed.id));
  if (
    parsed &&
    stored &&
    keyAdmits(stored, parsed.secret, { pepper: ports.secret, now: ports.clock.now() })
  )
    return { text: kept.trim(), isNew: false };
  const now = ports.clock.now();
  if (!(await ports.tenants.get(localTenant.id)))
    await ports.tenants.create({ ...localTenant, createdAt: now, disabledAt: null });
  const { text, key } = mintKey(
    { tenantId: localTenant.id, name: "local.key", scopes, expiresAt: null },
    ports.secret,
    now,
  );
  await ports.tenants.createKey(key);
  await writeFileDurably(file, [Buffer.from(`${text}\n`)]);
  return { text, isNew: true };
}
