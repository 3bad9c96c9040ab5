import { readFile } from "node:fs/promises";
import path from "node:path";
import { writeFileDurably } from "../adapters/disk.ts";
import { tenantSubject } from "../core/api-keys.ts";
import { auditEntry, commandLine } from "../core/audit.ts";
import type { Ports } from "../core/ports.ts";
import { keyAdmits, localTenantId, mintKey, parseKey, scopes } from "../core/tenant.ts";

const localTenant = { id: localTenantId, name: "local" };

/** The file of the local tenant's API key. */
export function localKeyFile(dataDir: string): string {
  return path.join(dataDir, "local.key");
}

/**
 * The API key of the local tenant, for the first steps on one's own machine: made at the first
 * start and kept in DIR/local.key, readable by this user alone. A key that this service does not
 * know any more (another store, another secret, revoked) is replaced.
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
  const author = { clock: ports.clock, by: commandLine };
  if (!(await ports.tenants.get(localTenant.id))) {
    const details = { name: localTenant.name };
    await ports.tenants.create(
      { ...localTenant, createdAt: now, disabledAt: null },
      auditEntry(author, "tenant.create", { subject: tenantSubject(localTenant.id), details }),
    );
  }
  const { text, key } = mintKey(
    { tenantId: localTenant.id, name: "local.key", scopes, expiresAt: null },
    ports.secret,
    now,
  );
  const { id, tenantId, name } = key;
  const subject = { type: "ApiKey", id, tenantId };
  const details = { name, scopes, expiresAt: null };
  await ports.tenants.createKey(key, auditEntry(author, "apiKey.create", { subject, details }));
  await writeFileDurably(file, [Buffer.from(`${text}\n`)]);
  return { text, isNew: true };
}
