import { expect, test } from "vitest";
import { workOf } from "../../core/run-work.ts";
import { answered } from "./answered.ts";

const image = { decodeMs: 1, pixelsMs: 2, visionMs: 3 };

test("tokens and reading add up over tasks, and stages that tasks share count once", () => {
  expect(workOf([answered(7), answered(3)], image)).toEqual({
    ...image,
    ...{ encodeMs: 1, generateMs: 1, parseMs: 2, tokens: 10, cached: false },
  });
});

test("a run without an image seen or a task answered took no time", () => {
  const failed = { error: { code: "INTERNAL", message: "", retryable: true } } as const;
  const nothing = {
    decodeMs: 0,
    pixelsMs: 0,
    visionMs: 0,
    encodeMs: 0,
    generateMs: 0,
    parseMs: 0,
    tokens: 0,
    cached: false,
  };
  expect(workOf([failed], null)).toEqual(nothing);
  expect(workOf([], { ...image, cached: true })).toEqual({ ...nothing, ...image, cached: true });
});
