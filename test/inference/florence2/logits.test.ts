import { describe, expect, test } from "vitest";
import { exponential } from "../../../inference/florence2/exponential.ts";
import { outlookOf } from "../../../inference/florence2/logits.ts";
import { random } from "./fixtures.ts";

const banned = Number.NEGATIVE_INFINITY;

describe("the outlook of logits", () => {
  test("names the candidates that sorting everything names", () => {
    const next = random(1);
    for (let round = 0; round < 50; round += 1) {
      const logits = Float32Array.from({ length: 200 }, () => Math.round(next() * 60)); // many equal ones
      const sorted = Array.from(logits, (logit, token) => ({ token, logit })).sort(
        (a, b) => b.logit - a.logit || a.token - b.token,
      );
      expect(outlookOf(logits, { count: 7 }).candidates).toEqual(sorted.slice(0, 7));
    }
  });

  test("names no banned token, none from the end on and none of no probability, even where fewer than asked for are left", () => {
    const logits = Float32Array.of(banned, 1, 7, 2, 9);
    expect(outlookOf(logits, { count: 3, end: 4, banned: [2, 2, -1, 77] }).candidates).toEqual([
      { token: 3, logit: 2 },
      { token: 1, logit: 1 },
    ]);
  });

  test("counts in the probabilities what it does not name", () => {
    const logits = [3, banned, 7.5, -2, 9, 9, 700, -300];
    const exact = 700 + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - 700), 0));
    for (const options of [
      {},
      { end: 3 },
      { banned: [6, 4] },
      { banned: [0, 1, 2, 3, 4, 5, 6, 7] },
    ]) {
      expect(outlookOf(Float32Array.from(logits), { count: 2, ...options }).normalizer).toBeCloseTo(
        exact,
        12,
      );
    }
    const next = random(7);
    const many = Float32Array.from({ length: 5000 }, () => 20 * next());
    const sum = many.reduce((total, logit) => total + Math.exp(logit), 0);
    expect(outlookOf(many, { count: 2 }).normalizer).toBeCloseTo(Math.log(sum), 12);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])(
    "of %s is refused, wherever it stands",
    (bad) => {
      for (const logits of [[bad, 0], [0, bad], [bad]]) {
        for (const banned of [[], [0], [0, 1]]) {
          expect(() => outlookOf(Float32Array.from(logits), { count: 1, banned })).toThrowError(
            expect.objectContaining({ code: "MODEL_FAILED" }),
          );
        }
      }
    },
  );
});

test("exponential is Math.exp to 13 digits, and nothing far below", () => {
  const next = random(3);
  for (let round = 0; round < 20_000; round += 1) {
    const x = -690 * next() ** 4;
    expect(Math.abs(exponential(x) / Math.exp(x) - 1)).toBeLessThan(1e-13);
  }
  expect([exponential(0), exponential(-1e9), exponential(Number.NEGATIVE_INFINITY)]).toEqual([
    1, 0, 0,
  ]);
  expect(exponential(Number.NaN)).toBeNaN();
});
