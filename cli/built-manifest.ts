import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { manifestFile, readManifest } from "../adapters/model-manifest.ts";
import type { BuildSource } from "../inference/build/build.ts";
import { type Precisions, precisionName } from "../inference/florence2/model-files.ts";
import type { TaskName } from "../schema/task.ts";
import { sha256Of } from "./checksums.ts";
import type { Parity } from "./prove-model.ts";

/** What whoever builds a model says about it; null where the checkpoint is to say it. */
export interface About {
  readonly id: string;
  readonly description: string | null;
  readonly revision: string | null;
  readonly licence: string | null;
  readonly tasks: readonly TaskName[] | null;
}

/**
 * Writes the vedere.json of a folder that is otherwise complete. What nobody says is taken from the
 * checkpoint's own vedere.json, where it has one.
 */
export async function writeManifest(
  folder: string,
  built: {
    source: BuildSource;
    precisions: Precisions;
    about: About;
    parity: Parity;
    isReady: boolean;
  },
): Promise<void> {
  const { source, about, parity } = built;
  const inherited = await readManifest(source.checkpoint);
  const precision = precisionName(built.precisions);
  const base = await baseName(source);
  const licence = about.licence ?? inherited?.licence;
  const tasks = about.tasks ?? inherited?.tasks;
  const manifest = {
    id: about.id,
    description:
      about.description ?? inherited?.description ?? `Florence-2: ${base} in ${precision}.`,
    base,
    revision: about.revision ?? (await weightsDigest(source)).slice(0, 12),
    precision,
    layout: "step",
    ...(licence ? { licence } : {}),
    ...(tasks ? { tasks } : {}),
    ...(inherited?.defaults ? { defaults: inherited.defaults } : {}),
    files: await filesOf(folder),
    parity,
    ready: built.isReady,
  };
  await writeFile(path.join(folder, manifestFile), `${JSON.stringify(manifest, null, 2)}\n`);
}

/**
 * The name of what was built from, as it calls itself, else its folder's: where the folder lies is
 * nobody's business.
 */
async function baseName({ checkpoint, base }: BuildSource): Promise<string> {
  const said =
    base === null
      ? await field(checkpoint, "config.json", "_name_or_path")
      : await field(checkpoint, "adapter_config.json", "base_model_name_or_path");
  return said !== null && /^[\w-][\w.-]*(\/[\w.-]+)?$/.test(said)
    ? said
    : path.basename(path.resolve(base ?? checkpoint));
}

async function field(folder: string, file: string, name: string): Promise<string | null> {
  const json: Readonly<Record<string, unknown>> = JSON.parse(
    await readFile(path.join(folder, file), "utf8"),
  );
  const value = json[name];
  return typeof value === "string" ? value : null;
}

/** Of all weights, an adapter's before its base's. */
async function weightsDigest({ checkpoint, base }: BuildSource): Promise<string> {
  const hash = createHash("sha256");
  for (const folder of [checkpoint, ...(base === null ? [] : [base])]) {
    const files = (await readdir(folder)).filter((file) => file.endsWith(".safetensors")).sort();
    for (const file of files)
      for await (const bytes of createReadStream(path.join(folder, file), {
        highWaterMark: 1 << 20,
      }))
        hash.update(bytes);
  }
  return hash.digest("hex");
}

async function filesOf(folder: string): Promise<{ path: string; bytes: number; sha256: string }[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
  return Promise.all(
    files.sort().map(async (file) => ({
      path: path.relative(folder, file).replaceAll(path.sep, "/"),
      bytes: (await stat(file)).size,
      sha256: await sha256Of(file),
    })),
  );
}
