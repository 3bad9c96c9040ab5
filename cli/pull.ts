import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { makeFolder } from "../adapters/disk.ts";
import {
  fetchFile,
  type HubAccess,
  type HubFile,
  openSnapshot,
  type Snapshot,
} from "../adapters/hub.ts";
import { AppError } from "../core/errors.ts";
import { graphNames, precisionSuffixes } from "../core/model-layout.ts";
import { type Precisions, precisionName } from "../inference/florence2/model-files.ts";
import { checkChecksums, writeChecksums } from "./checksums.ts";
import { replaceFolder } from "./draft.ts";
import { knownModel } from "./known-models.ts";

export interface PullRequest {
  /** A short name (florence-2-base-ft) or owner/name. */
  readonly name: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
  readonly precisions: Precisions;
  /** The folder of model folders. */
  readonly into: string;
  /** Tells the files once they are known, and then every piece that arrived. */
  readonly onFiles: (files: readonly HubFile[]) => void;
  readonly onBytes: (file: HubFile, bytes: number) => void;
}

export interface Pulled {
  readonly id: string;
  readonly folder: string;
  readonly commit: string;
  /** False where the same revision and precision lay there already, unchanged. */
  readonly isNew: boolean;
}

/**
 * Fetches a model from the hub. Files gather in a hidden folder named after the commit, where an
 * interrupted pull goes on; the folder takes the model's name only when all is there and checked.
 * Throws AppError MODEL_NOT_FOUND, MODEL_UNAVAILABLE.
 */
export async function pullModel(hub: HubAccess, request: PullRequest): Promise<Pulled> {
  const { id, repository, manifest } = knownModel(request.name);
  const snapshot = await openSnapshot(hub, repository, request.revision);
  const files = chooseFiles(snapshot, request.precisions);
  const folder = path.join(request.into, id);
  const complete = { id, folder, commit: snapshot.commit };
  const precision = precisionName(request.precisions);
  const written = { id, ...manifest, revision: snapshot.commit, precision };
  const isThere =
    (await manifestText(folder)) === textOf(written) &&
    (await checkChecksums(folder))?.length === 0;
  if (isThere) return { ...complete, isNew: false };

  const staging = path.join(
    request.into,
    `.${id}@${snapshot.commit}.${precision.replace(/[^\w]+/g, "-")}`,
  );
  makeFolder(staging, 0o777);
  request.onFiles(files);
  for (const file of files)
    await fetchFile(hub, snapshot, {
      file,
      folder: staging,
      onBytes: (bytes) => request.onBytes(file, bytes),
    });
  await writeChecksums(
    staging,
    files.map((file) => file.path),
  );
  await writeFile(path.join(staging, "vedere.json"), textOf(written));
  await replaceFolder(folder, staging);
  return { ...complete, isNew: true };
}

/**
 * The files that a model needs in the given precisions. Throws AppError MODEL_UNAVAILABLE where the
 * repository lacks one.
 */
function chooseFiles({ repository, files }: Snapshot, precisions: Precisions): HubFile[] {
  // Large graphs keep their weights beside them, in .onnx_data, .onnx_data_1 …
  const find = (name: string) =>
    files.filter(
      ({ path: file }) =>
        file.startsWith(name) && /^(_data(_\d+)?)?$/.test(file.slice(name.length)),
    );
  const need = (...names: string[]) => {
    const found = names.map(find);
    const missing = names.filter((_, i) => found[i]?.length === 0);
    if (missing.length === 0) return found.flat();
    throw new AppError("MODEL_UNAVAILABLE", `${repository} has no ${missing.join(", ")}.`, {
      fix: `Choose another --precision; it has ${graphFilesOf(files) || "no ONNX graphs"}.`,
    });
  };
  const graphs = graphNames.flatMap((graph) => {
    const file = (name: string) => `onnx/${name}${precisionSuffixes[precisions[graph]]}.onnx`;
    const isSplit =
      graph === "decoder_model_merged" &&
      find(file(graph)).length === 0 &&
      find(file("decoder_model")).length > 0;
    return isSplit
      ? need(file("decoder_model"), file("decoder_with_past_model"))
      : need(file(graph));
  });
  const optional = ["preprocessor_config.json", "generation_config.json"].flatMap(find);
  return [...need("config.json", "tokenizer.json"), ...optional, ...graphs];
}

function graphFilesOf(files: readonly HubFile[]): string {
  return files
    .flatMap(({ path: file }) => /^onnx\/(decoder_model.*)\.onnx$/.exec(file)?.[1] ?? [])
    .sort()
    .join(", ");
}

async function manifestText(folder: string): Promise<string | null> {
  return readFile(path.join(folder, "vedere.json"), "utf8").catch(() => null); // unreadable is as good as absent: it is written anew
}

function textOf(manifest: object): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}
