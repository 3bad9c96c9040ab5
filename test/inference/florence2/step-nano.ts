import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { planBuild, writeBuild } from "../../../inference/build/build.ts";
import { precisionsOf } from "../../../inference/florence2/model-files.ts";
import { nanoFolder } from "./fixtures.ts";

/** Builds florence-2-nano in the step layout into a temporary folder, which the caller removes. */
export async function buildStepNano(precision = "fp32"): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), "vedere-step-nano-"));
  await writeBuild(
    await planBuild({ checkpoint: nanoFolder, base: null }, precisionsOf(precision)),
    folder,
    () => {},
  );
  return folder;
}
