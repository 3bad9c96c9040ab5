import { findModels } from "../../core/model-names.ts";
import type { ModelInfo } from "../../core/ports.ts";
import type { Run as StoredRun } from "../../core/run.ts";
import type { RequestContext } from "../context.ts";
import { noteRead } from "../read-once.ts";

export const Run = {
  /** A model may leave the service before the runs that it answered. */
  model: async (run: StoredRun, _args: unknown, context: RequestContext) => {
    const [model] = findModels(await context.models(), run.model);
    return model ?? departedModel(run.model);
  },
  /** The tasks know the image that their areas are measured on. */
  tasks: async (run: StoredRun, _args: unknown, context: RequestContext) => {
    await noteRead(run, context);
    return run.tasks.map((task) => ({ ...task, image: run.image }));
  },
  keep: (run: StoredRun) => run.keep ?? "ALL",
  timings: (run: StoredRun) => ({
    queuedMs: run.startedAt === null ? null : run.startedAt - run.createdAt,
    ...run.imageTimings,
    totalMs: run.finishedAt === null ? null : run.finishedAt - run.createdAt,
  }),
};

function departedModel(id: string): ModelInfo {
  const description = "No longer in this service.";
  const unknown = {
    revision: "unknown",
    precision: "unknown",
    folder: "",
    stamp: "",
    defaults: {},
  };
  return {
    ...unknown,
    id,
    description,
    tasks: [],
    isDefault: false,
    aliases: [],
    fault: description,
  };
}
