import { exactName } from "./model-names.ts";
import type { HostedModel, ModelInfo, WorkerReport } from "./ports.ts";

/**
 * AVAILABLE: its files are here, and no worker has it loaded; it is loaded when a run asks for it.
 */
export type ModelStatus = "AVAILABLE" | HostedModel["state"];

/** Workers report whenever something changes, and at least so often. */
export const reportEveryMs = 15_000;
/** A worker that was silent for this long is taken for dead. */
export const reportLifetimeMs = 60_000;
/** A worker that misses three reports hangs, is dead, or its thread is held by a very long step. */
const overdueMs = 3 * reportEveryMs;
/** A worker that was silent for this long is of the past. */
export const silenceShownMs = 300_000;

/**
 * How many workers report as they should, and how many have fallen silent, of reports not older
 * than `silenceShownMs`.
 */
export function workerCounts(
  reports: readonly Pick<WorkerReport, "at">[],
  now: number,
): { reporting: number; silent: number } {
  const silent = reports.filter(({ at }) => now - at > overdueMs).length;
  return { reporting: reports.length - silent, silent };
}

/**
 * What a model is up to, from the word of all workers: one that has it ready makes it READY,
 * whatever the others say.
 */
export function modelStatus(
  model: ModelInfo,
  reports: readonly WorkerReport[],
): { status: ModelStatus; reason: string | null } {
  if (model.fault !== null) return { status: "FAILED", reason: model.fault };
  const name = exactName(model);
  const said = reports
    .flatMap(({ models }) => models)
    .filter((hosted) => exactName(hosted) === name);
  for (const state of ["READY", "LOADING", "FAILED"] as const) {
    const hosted = said.filter((each) => each.state === state);
    if (hosted.length > 0)
      return {
        status: state,
        reason: hosted.find(({ message }) => message !== null)?.message ?? null,
      };
  }
  return { status: "AVAILABLE", reason: null };
}
