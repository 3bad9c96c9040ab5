import { expect, test } from "vitest";
import { modelStatus } from "../../core/model-status.ts";
import type { HostedModel, WorkerReport } from "../../core/ports.ts";
import { newModel } from "./new-model.ts";

const model = newModel();
const hosted = (changes: Partial<HostedModel>): WorkerReport => ({
  workerId: "w",
  at: 0,
  models: [
    {
      id: "model",
      revision: "1",
      state: "READY",
      message: null,
      executionProvider: null,
      memoryBytes: 0,
      ...changes,
    },
  ],
});

test("a model that no worker speaks of is available", () => {
  expect(modelStatus(model, [])).toEqual({ status: "AVAILABLE", reason: null });
  expect(modelStatus(model, [hosted({ revision: "2" }), hosted({ id: "other" })])).toEqual({
    status: "AVAILABLE",
    reason: null,
  });
});

test("one worker that is ready is enough; one that loads goes before one that failed", () => {
  const failed = hosted({ state: "FAILED", message: "no memory" });
  expect(modelStatus(model, [failed])).toEqual({ status: "FAILED", reason: "no memory" });
  expect(modelStatus(model, [failed, hosted({ state: "LOADING" })])).toEqual({
    status: "LOADING",
    reason: null,
  });
  expect(modelStatus(model, [failed, hosted({ state: "LOADING" }), hosted({})])).toEqual({
    status: "READY",
    reason: null,
  });
});

test("what there is to know of a ready model is told", () => {
  expect(modelStatus(model, [hosted({}), hosted({ message: "It runs on cpu." })])).toEqual({
    status: "READY",
    reason: "It runs on cpu.",
  });
});

test("files that cannot be run are a failure, whatever workers say", () => {
  expect(modelStatus({ ...model, fault: "It lacks config.json." }, [hosted({})])).toEqual({
    status: "FAILED",
    reason: "It lacks config.json.",
  });
});
