import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  changeRun,
  isFinished,
  type Run,
  type RunChange,
  type TaskOutcome,
} from "../../core/run.ts";
import { newRun } from "./new-run.ts";

const good: TaskOutcome = {
  result: { type: "CaptionResult", text: "a cat", score: 0.5 },
  finish: "END",
  remainder: "",
  raw: "a cat",
  timings: { encodeMs: 1, generateMs: 1, parseMs: 1, tokens: 2 },
  provenance: {
    model: "m",
    revision: "r",
    precision: "fp32",
    executionProvider: "cpu",
    beams: 1,
    prompt: "p",
    files: [],
  },
};
const bad: TaskOutcome = { error: { code: "MODEL_FAILED", message: "no", retryable: false } };

function claimed(): Run {
  const run = changeRun(newRun(), { type: "claim" }, 10);
  if (!run) throw new Error("a new run can be claimed");
  return run;
}

describe("a run", () => {
  test.each([
    [[good, good], "SUCCEEDED"],
    [[good, bad], "PARTIALLY_SUCCEEDED"],
    [[bad, bad], "FAILED"],
  ] as const)("ends by what its tasks came to", (outcomes, status) => {
    const done = changeRun(
      claimed(),
      { type: "finish", attempt: 1, outcomes, imageTimings: null },
      20,
    );
    expect(done).toMatchObject({ status, finishedAt: 20, startedAt: 10, version: 3 });
    expect(done?.tasks.map((task) => task.outcome)).toEqual(outcomes);
  });

  test("ignores an attempt that lost its lease", () => {
    const second = changeRun(claimed(), { type: "claim" }, 30);
    expect(second?.attempt).toBe(2);
    expect(
      changeRun(
        second as Run,
        { type: "finish", attempt: 1, outcomes: [good, good], imageTimings: null },
        40,
      ),
    ).toBeNull();
  });

  test("refuses outcomes that do not match its tasks", () => {
    expect(
      changeRun(
        claimed(),
        { type: "finish", attempt: 1, outcomes: [good], imageTimings: null },
        40,
      ),
    ).toBeNull();
  });

  test("says of every open task why it has no result, when canceled or given up", () => {
    expect(
      changeRun(newRun(), { type: "cancel" }, 5)?.tasks.map((task) => task.outcome?.error?.code),
    ).toEqual(["CANCELED", "CANCELED"]);
    const given = changeRun(claimed(), { type: "giveUp", message: "died" }, 5);
    expect(given?.tasks.map((task) => task.outcome?.error?.code)).toEqual([
      "ATTEMPTS_EXHAUSTED",
      "ATTEMPTS_EXHAUSTED",
    ]);
  });

  test("expires only while nobody works on it", () => {
    expect(changeRun(newRun(), { type: "expire" }, 5)?.status).toBe("EXPIRED");
    expect(changeRun(claimed(), { type: "expire" }, 5)).toBeNull();
  });

  test("ends exactly once, whatever happens in whatever order", () => {
    const change: fc.Arbitrary<RunChange> = fc.oneof(
      fc.constant<RunChange>({ type: "claim" }),
      fc.constant<RunChange>({ type: "cancel" }),
      fc.constant<RunChange>({ type: "expire" }),
      fc.constant<RunChange>({ type: "giveUp", message: "x" }),
      fc.integer({ min: 0, max: 4 }).map<RunChange>((attempt) => ({
        type: "finish",
        attempt,
        outcomes: [good, bad],
        imageTimings: null,
      })),
    );
    fc.assert(
      fc.property(fc.array(change, { maxLength: 12 }), (changes) => {
        let run = newRun();
        let endings = 0;
        for (const [at, next] of changes.entries()) {
          const after = changeRun(run, next, at);
          if (!after) continue;
          expect(isFinished(run)).toBe(false);
          expect(after.version).toBe(run.version + 1);
          if (isFinished(after)) endings += 1;
          run = after;
        }
        expect(endings).toBe(isFinished(run) ? 1 : 0);
      }),
    );
  });
});
