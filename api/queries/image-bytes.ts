import { AppError } from "../../core/errors.ts";
import type { RequestContext } from "../context.ts";
import { exportedTenant } from "../exported-tenant.ts";

/** Base64 makes 4 MB of it: a function in AWS may answer with 6. */
const partBytes = 3_000_000;

interface Args {
  readonly id: string;
  readonly offset: number;
  readonly tenantId?: string | null;
}

/**
 * A part of an image's file, as it was stored. Null if there is no such image. Throws AppError
 * INVALID for an offset that cannot be.
 */
export async function imageBytes(
  _root: unknown,
  { id, offset, tenantId }: Args,
  context: RequestContext,
) {
  const { images } = context.ports;
  const tenant = await exportedTenant(context, tenantId ?? null).catch(unlessUnknown);
  const bytes = tenant && (await images.read(tenant.id, id));
  if (!bytes) return null;
  if (offset < 0 || offset >= bytes.length)
    throw new AppError("INVALID", `The file has ${bytes.length} bytes.`, {
      path: ["offset"],
      fix: "Begin with 0 and go on with nextOffset.",
    });
  const end = Math.min(offset + partBytes, bytes.length);
  return {
    base64: Buffer.from(bytes.subarray(offset, end)).toString("base64"),
    byteSize: bytes.length,
    nextOffset: end === bytes.length ? null : end,
  };
}

/** Another's tenant is as one that never was. */
function unlessUnknown(error: unknown): null {
  if (error instanceof AppError && error.code === "NOT_FOUND") return null;
  throw error;
}
