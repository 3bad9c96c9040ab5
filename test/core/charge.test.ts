import { expect, test } from "vitest";
import { chargesOf, units } from "../../core/charge.ts";
import { changeRun, type Run, type TaskOutcome } from "../../core/run.ts";
import { answered } from "./answered.ts";
import { newRun } from "./new-run.ts";

const failed: TaskOutcome = { error: { code: "MODEL_FAILED", message: "", retryable: false } };
const timings = { decodeMs: 1, pixelsMs: 1, visionMs: 1 };

function finished(outcomes: TaskOutcome[], cached = false): Run {
  const claimed = changeRun(newRun(), { type: "claim" }, 5);
  const change = {
    type: "finish",
    attempt: 1,
    outcomes,
    imageTimings: { ...timings, cached },
  } as const;
  return (claimed && changeRun(claimed, change, 9)) ?? expect.unreachable();
}

test("every answered task is charged for its tokens, and the first for the image", () => {
  const run = { tenantId: "ten_1", runId: "run_1", at: 9 };
  expect(chargesOf(finished([answered(7), answered(3)]))).toEqual([
    {
      ...run,
      task: 0,
      name: "CAPTION",
      encodings: 1,
      tokens: 7,
      cost: units.encoding + units.prompt + 7,
    },
    { ...run, task: 1, name: "READ_TEXT", encodings: 0, tokens: 3, cost: units.prompt + 3 },
  ]);
});

test("a task that failed is free, and the image goes on the next", () => {
  expect(chargesOf(finished([failed, answered(3)]))).toMatchObject([
    { task: 1, encodings: 1, tokens: 3 },
  ]);
  expect(chargesOf(finished([failed, failed]))).toEqual([]);
});

test("features that were still known are free", () => {
  expect(
    chargesOf(finished([answered(7), answered(3)], true)).map(({ encodings }) => encodings),
  ).toEqual([0, 0]);
});

test("a run that has not ended, was canceled or expired is free", () => {
  const [queued, expired] = [newRun(), changeRun(newRun(), { type: "expire" }, 9)];
  const claimed = changeRun(queued, { type: "claim" }, 5);
  const canceled = claimed && changeRun(claimed, { type: "cancel" }, 9);
  for (const run of [queued, claimed, canceled, expired]) expect(run && chargesOf(run)).toEqual([]);
});
