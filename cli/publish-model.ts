import path from "node:path";
import {
  type PublishedModel,
  publishCard,
  publishedFile,
  publishedModels,
  publishFile,
} from "../adapters/aws/s3-models.ts";
import type { Bucket } from "../adapters/aws/s3-objects.ts";
import { writeFileDurably } from "../adapters/disk.ts";
import { lookAt } from "../adapters/model-folder.ts";
import { AppError } from "../core/errors.ts";
import { exactName } from "../core/model-names.ts";
import type { ModelInfo } from "../core/ports.ts";
import { compareFiles, sha256Of } from "./checksums.ts";
import { makeFolder } from "./draft.ts";

/**
 * Copies a model of this machine into a bucket, where gateways see it and workers fetch it.
 * `onFile` hears of each file.
 */
export async function publishModel(
  bucket: Bucket,
  info: ModelInfo,
  { now, onFile }: { now: number; onFile: (path: string, bytes: number) => void },
): Promise<PublishedModel> {
  const { folder, id, description, revision, precision, tasks, defaults } = info;
  const state = await lookAt(folder);
  if (!state?.files.has("vedere.json")) {
    throw new AppError(
      "INVALID",
      `The model in ${folder} has no vedere.json, which names its id and revision.`,
      {
        fix: "Fetch or build it with `vedere models pull|build`, which write one.",
      },
    );
  }
  const names = [...state.files].filter(
    ([name]) => name !== "onnx" && !name.endsWith(".safetensors"),
  );
  const files = await Promise.all(
    names.map(async ([name, bytes]) => ({
      path: name,
      bytes,
      sha256: await sha256Of(path.join(folder, name)),
    })),
  );
  const model = { id, description, revision, precision, tasks, defaults, files, publishedAt: now };
  for (const file of files) {
    await publishFile(bucket, model, { folder, path: file.path });
    onFile(file.path, file.bytes);
  }
  await publishCard(bucket, model);
  return model;
}

/**
 * Fetches the models of a bucket that this machine lacks into folders under `into`, but for those
 * of `has`, by `id@revision`. Each folder appears when all of its files are there and have their
 * sha256. Returns the names of the new ones. Throws AppError MODEL_UNAVAILABLE.
 */
export async function fetchModels(
  bucket: Bucket,
  { into, has }: { into: string; has: ReadonlySet<string> },
): Promise<string[]> {
  const fetched: string[] = [];
  for (const model of await publishedModels(bucket)) {
    if (has.has(exactName(model))) continue;
    const folder = path.join(into, exactName(model));
    await makeFolder(folder, async (draft) => {
      for (const file of model.files)
        await writeFileDurably(
          path.join(draft, file.path),
          await publishedFile(bucket, model, file.path),
        );
      const faults = await compareFiles(draft, model.files);
      if (faults.length === 0) return;
      throw new AppError(
        "MODEL_UNAVAILABLE",
        `${exactName(model)} came damaged from the bucket ${bucket.name}: ${faults.join("; ")}.`,
        {
          fix: "Publish it again with `vedere models publish`.",
        },
      );
    });
    fetched.push(exactName(model));
  }
  return fetched;
}
