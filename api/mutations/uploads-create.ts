import { AppError } from "../../core/errors.ts";
import { limits } from "../../core/limits.ts";
import { randomBase62 } from "../../core/tenant.ts";
import type { RequestContext } from "../context.ts";
import { type UserError, userErrorsOf } from "../user-errors.ts";

interface UploadFile {
  readonly byteSize: number;
  readonly sha256: string;
}

/** Files stand or fall alone; targets stand in input order, null where the file was refused. */
export async function uploadsCreate(
  _root: unknown,
  { input: { files } }: { input: { files: readonly UploadFile[] } },
  context: RequestContext,
) {
  const { filesMax } = limits.upload;
  if (files.length < 1 || files.length > filesMax) {
    const fault = new AppError("INVALID", `There are ${files.length} files.`, {
      path: ["files"],
      fix: `Give 1 to ${filesMax}.`,
    });
    return { targets: [], userErrors: userErrorsOf(fault, ["input"]) };
  }
  const userErrors: UserError[] = files.flatMap((file, i) =>
    fileFaults(file).flatMap((fault) => userErrorsOf(fault, ["input", "files", String(i)])),
  );
  const targets = await Promise.all(
    files.map((file) => (fileFaults(file).length === 0 ? createTarget(context, file) : null)),
  );
  return { targets, userErrors };
}

function fileFaults({ byteSize, sha256 }: UploadFile): AppError[] {
  const { bytesMax } = limits.image;
  const faults: AppError[] = [];
  if (byteSize < 1)
    faults.push(
      new AppError("INVALID", `byteSize is ${byteSize}.`, {
        path: ["byteSize"],
        fix: "Give the file's size in bytes.",
      }),
    );
  if (byteSize > bytesMax) {
    faults.push(
      new AppError("SOURCE_TOO_LARGE", `byteSize is ${byteSize}.`, {
        path: ["byteSize"],
        fix: `Send at most ${bytesMax} bytes.`,
      }),
    );
  }
  if (!/^[0-9a-f]{64}$/i.test(sha256)) {
    faults.push(
      new AppError("INVALID", "This is not a sha256.", {
        path: ["sha256"],
        fix: "Give 64 hexadecimal digits.",
      }),
    );
  }
  return faults;
}

async function createTarget({ ports, caller }: RequestContext, { byteSize, sha256 }: UploadFile) {
  const end = ports.clock.now() + limits.upload.lifetimeMs;
  const upload = {
    id: `upl_${randomBase62(22)}`,
    byteSize,
    sha256: sha256.toLowerCase(),
    expiresAt: Math.min(end, caller.expiresAt ?? end),
  };
  const target = await ports.images.createUpload(caller.tenantId, upload, caller.keyId);
  return { uploadId: upload.id, expiresAt: upload.expiresAt, ...target };
}
