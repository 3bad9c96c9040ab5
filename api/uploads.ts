import { AppError, type ErrorCode } from "../core/errors.ts";
import type { UploadReceiver } from "../core/ports.ts";
import { refusal } from "./refusal.ts";

const statuses: Partial<Record<ErrorCode, number>> = {
  NOT_FOUND: 404,
  SOURCE_TOO_LARGE: 413,
  INVALID: 422,
};

/**
 * Takes PUT /uploads/<id>?signature=…: the signature admits to this one upload, so no API key is
 * asked for.
 */
export async function takeUpload(request: Request, uploads: UploadReceiver): Promise<Response> {
  if (request.method !== "PUT")
    return refusal(405, "METHOD_NOT_ALLOWED", "Send the file with PUT.", { allow: "PUT" });
  const { pathname, searchParams } = new URL(request.url);
  const uploadId = pathname.slice(uploadPath.length);
  try {
    await uploads.accept(uploadId, searchParams.get("signature") ?? "", request.body ?? nothing());
    return Response.json({ uploadId });
  } catch (error) {
    const status = error instanceof AppError ? statuses[error.code] : undefined;
    if (!(error instanceof AppError) || status === undefined) throw error;
    return refusal(status, error.code, error.message);
  }
}

export const uploadPath = "/uploads/";

async function* nothing(): AsyncGenerator<Uint8Array> {}
