import { describe, expect, test } from "vitest";
import {
  answerOf,
  repeatsOf,
  type Said,
  say,
  startSaying,
} from "../../../inference/florence2/said.ts";

function saying([start = 2, ...tokens]: readonly number[]): Said {
  return tokens.reduce(
    (last: Said, token, i) => say(last, { token, logProbability: -i }),
    startSaying(start),
  );
}

test("what was said is told in order, without the start token", () => {
  const last = saying([2, 0, 7, 9]);
  expect(answerOf(last)).toEqual({ ids: [0, 7, 9], logProbabilities: [-0, -1, -2] });
  expect(last.length).toBe(4);
  expect(answerOf(startSaying(2))).toEqual({ ids: [], logProbabilities: [] });
});

describe("the repeats", () => {
  const repeats = (sequence: number[], size: number) =>
    [...new Set(repeatsOf(saying(sequence), size))].sort((a, b) => a - b);

  test("are the tokens that would complete a run a second time", () => {
    expect(repeats([1, 2, 3, 1, 2], 3)).toEqual([3]);
    expect(repeats([1, 2, 3, 1, 2, 4, 1, 2], 3)).toEqual([3, 4]);
    expect(repeats([1, 1], 2)).toEqual([1]);
  });

  test("of size 1 are all tokens that were there, the start token too", () => {
    expect(repeats([2, 0, 5], 1)).toEqual([0, 2, 5]);
  });

  test("in a sequence that is too short, or of size 0, are none", () => {
    expect(repeats([1, 2], 3)).toEqual([]);
    expect(repeats([1], 2)).toEqual([]);
    expect(repeats([1, 1, 1, 1], 0)).toEqual([]);
  });
});
