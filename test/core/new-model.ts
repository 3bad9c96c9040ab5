import type { ModelInfo } from "../../core/ports.ts";

/** A sound model, for tests to change what they are about. */
export function newModel(changes: Partial<ModelInfo> = {}): ModelInfo {
  return {
    id: "model",
    description: "",
    revision: "1",
    precision: "fp32",
    tasks: ["CAPTION"],
    isDefault: false,
    aliases: [],
    fault: null,
    folder: "/models/model",
    stamp: "",
    defaults: {},
    ...changes,
  };
}
