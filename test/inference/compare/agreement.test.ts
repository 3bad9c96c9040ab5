import { expect, test } from "vitest";
import { agreementOf, tokenAgreement } from "../../../inference/compare/agreement.ts";
import { matchBoxes } from "../../../inference/compare/boxes.ts";
import type { Observation, ObservedAnswer } from "../../../inference/compare/observe.ts";
import type { DetectedObject } from "../../../schema/result.ts";

const letters = (text: string) => [...text];
const box = (x0: number, y0: number, x1: number, y1: number) => ({ x0, y0, x1, y1 });

function captioned(text: string): ObservedAnswer {
  const tokens = letters(text).map((letter) => ({ text: letter, logProbability: -0.1 }));
  return { task: "CAPTION", text, tokens, result: { type: "CaptionResult", text, score: 1 } };
}

function detected(
  ...objects: readonly (readonly [string, DetectedObject["box"]])[]
): ObservedAnswer {
  const found = objects.map(([label, at]) => ({ label, box: at, polygons: null, score: 1 }));
  return {
    ...captioned(objects.join()),
    task: "DETECT_OBJECTS",
    result: { type: "DetectionResult", objects: found },
  };
}

function observation(
  features: readonly number[],
  ...answers: readonly ObservedAnswer[]
): Observation {
  return { features: Float32Array.from(features), answers, seeMs: 1, answerMs: 1 };
}

test.each([
  ["", "", 1],
  ["abcd", "abcd", 1],
  ["abcd", "", 0],
  ["abcd", "wxyz", 0],
  ["abcd", "abxd", 0.75],
  ["abcd", "bcd", 0.75], // a token that is missing in front does not spoil those behind it
  ["abcd", "abcdabcd", 0.5],
  ["kitten", "sitting", 1 - 3 / 7],
])("the tokens of %j and %j agree by %d, either way round", (a, b, agreement) => {
  expect(tokenAgreement(letters(a), letters(b))).toBeCloseTo(agreement, 12);
  expect(tokenAgreement(letters(b), letters(a))).toBeCloseTo(agreement, 12);
});

test("boxes pair with their likest of the same label, each once", () => {
  const [a, b] = [box(0, 0, 10, 10), box(5, 0, 15, 10)];
  const both = [
    { label: "cat", box: a },
    { label: "cat", box: b },
  ];
  expect(matchBoxes(both, [...both].reverse())).toEqual([1, 1]);
  expect(matchBoxes(both, [{ label: "cat", box: box(4, 0, 14, 10) }])).toEqual([90 / 110]); // b's, though a stands first
  expect(matchBoxes(both, [{ label: "dog", box: a }])).toEqual([]);
  expect(
    matchBoxes([{ label: "", box: box(3, 3, 3, 9) }], [{ label: "", box: box(3, 3, 3, 9) }]),
  ).toEqual([1]); // though of no area
  expect(
    matchBoxes([{ label: "", box: box(3, 3, 3, 9) }], [{ label: "", box: box(0, 0, 9, 9) }]),
  ).toEqual([]);
});

test("a model agrees with itself in every figure", () => {
  const seen = [observation([1, -2], captioned("a cat"), detected(["cat", box(0, 0, 9, 9)]))];
  expect(agreementOf(seen, seen)).toEqual({
    images: 1,
    questions: 2,
    tokenAgreement: 1,
    exactAnswers: 1,
    equalCaptions: 1,
    boxIou: 1,
    featureError: 0,
  });
});

test("each figure tells its own kind of difference", () => {
  const first = [
    observation(
      [1, -4],
      captioned("abcd"),
      detected(["cat", box(0, 0, 10, 10)], ["dog", box(0, 0, 10, 10)]),
    ),
  ];
  const second = [observation([1, -3], captioned("abcx"), detected(["cat", box(0, 0, 10, 5)]))];
  const agreement = agreementOf(first, second);
  expect(agreement).toMatchObject({ exactAnswers: 0, equalCaptions: 0, featureError: 0.25 });
  expect(agreement.boxIou).toBe(0.25); // half a cat; the dog has no partner
  expect(agreement.tokenAgreement).toBeGreaterThan(0.37);
  expect(agreement.tokenAgreement).toBeLessThan(0.75);
});

test("what cannot be compared has no figure", () => {
  const none = agreementOf([observation([1])], [observation([1, 2])]);
  expect(none).toMatchObject({
    questions: 0,
    equalCaptions: null,
    boxIou: null,
    featureError: null,
  });
});
