import { auditEntry } from "../../core/audit.ts";
import { AppError } from "../../core/errors.ts";
import { authorOf } from "../author.ts";
import type { RequestContext } from "../context.ts";
import { userErrorsOf } from "../user-errors.ts";

/** `deleted` is false if there was nothing to delete: deleting twice is no mistake. */
export async function imageDelete(
  _root: unknown,
  { input: { imageId } }: { input: { imageId: string } },
  context: RequestContext,
) {
  const { ports, caller } = context;
  const { tenantId } = caller;
  const entry = auditEntry({ clock: ports.clock, by: authorOf(context) }, "image.delete", {
    subject: { type: "Image", id: imageId, tenantId },
  });
  const outcome = await ports.retention.removeImage(tenantId, imageId, entry);
  if (outcome !== "needed") return { imageId, deleted: outcome === "removed", userErrors: [] };
  const refusal = new AppError("NOT_FINISHED", "A run that has not finished needs the image.", {
    fix: "Stop the image's runs with runCancel, or wait for their end; then delete it.",
  });
  return { imageId: null, deleted: null, userErrors: userErrorsOf(refusal, ["input", "imageId"]) };
}
