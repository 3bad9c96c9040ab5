/**
 * The keys of a tenant's objects. Null where an id has other characters than our ids have: no
 * object can have it, and S3 clients along the way disagree on what `..` in a key means.
 */
export function imageKey(tenantId: string, imageId: string): string | null {
  return isId(tenantId) && isId(imageId) ? `tenants/${tenantId}/images/${imageId}` : null;
}

/** What the keys of a tenant's images begin with; the image's id follows. */
export function imagesPrefix(tenantId: string): string | null {
  return isId(tenantId) ? `tenants/${tenantId}/images/` : null;
}

/**
 * As for images: `bytes` is where the client PUTs, `announcement` is an empty object that tells
 * what was announced.
 */
export function uploadKeys(
  tenantId: string,
  uploadId: string,
): { bytes: string; announcement: string } | null {
  const bytes = `tenants/${tenantId}/uploads/${uploadId}`;
  return isId(tenantId) && isId(uploadId) ? { bytes, announcement: `${bytes}.announced` } : null;
}

/** What all keys of a tenant begin with. */
export function tenantPrefix(tenantId: string): string | null {
  return isId(tenantId) ? `tenants/${tenantId}/` : null;
}

function isId(text: string): boolean {
  return /^[A-Za-z0-9_-]{1,128}$/.test(text);
}
