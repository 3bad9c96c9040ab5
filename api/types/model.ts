import { fillOptions } from "../../core/generation.ts";
import { findModels } from "../../core/model-names.ts";
import { modelStatus } from "../../core/model-status.ts";
import type { ModelInfo } from "../../core/ports.ts";
import type { RequestContext } from "../context.ts";

export const Model = {
  isCurrent: async (model: ModelInfo, _args: unknown, context: RequestContext) => {
    const [current] = findModels(await context.models(), model.id);
    return model.fault === null && current?.revision === model.revision;
  },
  defaults: (model: ModelInfo) => (model.fault === null ? fillOptions(model.defaults) : null),
  status: async (model: ModelInfo, _args: unknown, context: RequestContext) =>
    modelStatus(model, await context.workerReports()).status,
  statusReason: async (model: ModelInfo, _args: unknown, context: RequestContext) =>
    modelStatus(model, await context.workerReports()).reason,
};
