import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { planBuild, writeBuild } from "../../inference/build/build.ts";
import { precisionsOf } from "../../inference/florence2/model-files.ts";

/**
 * Builds our model of a checkpoint as `vedere models build` does, but for its comparison of
 * answers; returns its folder.
 */
export async function buildOurs(plan: {
  checkpoint: string;
  folder: string;
  precision: "fp32" | "int8";
  /** Takes what an earlier call has built: right only while the builder is the same. */
  reuse: boolean;
  say: (text: string) => void;
}): Promise<string> {
  const { folder } = plan;
  if (plan.reuse && existsSync(folder)) return folder;
  const started = performance.now();
  const unfinished = `${folder}.unfinished`;
  await Promise.all([folder, unfinished].map((path) => rm(path, { recursive: true, force: true })));
  await mkdir(unfinished, { recursive: true });
  await writeBuild(
    await planBuild({ checkpoint: plan.checkpoint, base: null }, precisionsOf(plan.precision)),
    unfinished,
    () => {},
  );
  await rename(unfinished, folder);
  plan.say(
    `built our ${plan.precision} model in ${((performance.now() - started) / 1_000).toFixed(0)} s`,
  );
  return folder;
}
