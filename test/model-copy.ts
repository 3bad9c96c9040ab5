import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../adapters/package-root.ts";

/**
 * Copies the embedded model into a data folder, as a pulled model of this id and revision; returns
 * its folder.
 */
export function addModelCopy(
  dataDir: string,
  model: { name?: string; id: string; revision: string; defaults?: object },
): string {
  const folder = join(dataDir, "models", model.name ?? `${model.id}-${model.revision}`);
  cpSync(join(packageRoot(), "models", "florence-2-nano"), folder, {
    recursive: true,
    filter: (source) => !source.endsWith(".safetensors"),
  });
  const file = join(folder, "vedere.json");
  const { id, revision, defaults = {} } = model;
  const manifest: object = JSON.parse(readFileSync(file, "utf8"));
  writeFileSync(
    file,
    JSON.stringify({
      ...manifest,
      id,
      revision,
      defaults: { beams: 1, maxTokens: 24, noRepeatNgramSize: 0, ...defaults },
    }),
  );
  return folder;
}
