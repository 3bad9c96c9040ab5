import { describe, expect, test } from "vitest";
import { banRepeatedNgrams, largestLogits, logNormalizer } from "../../../inference/florence2/logits.ts";
import { random } from "./fixtures.ts";

describe("largestLogits", () => {
  test("finds what sorting everything finds", () => {
    const next = random(1);
    for (let round = 0; round < 50; round += 1) {
      const logits = Float32Array.from({ length: 200 }, () => Math.round(next() * 60)); // many equal ones
      const sorted = Array.from(logits, (logit, token) => ({ token, logit })).sort((a, b) => b.logit - a.logit || a.token - b.token);
      expect(largestLogits(logits, 7)).toEqual(sorted.slice(0, 7));
    }
  });

  test("never returns a banned token, even where fewer than asked for are left", () => {
    const banned = Number.NEGATIVE_INFINITY;
    expect(largestLogits(Float32Array.of(banned, 1, banned, 2), 3)).toEqual([
      { token: 3, logit: 2 },
      { token: 1, logit: 1 },
    ]);
  });
});

describe("logNormalizer", () => {
  test("makes probabilities that add up to one, also of huge logits", () => {
    const logits = Float32Array.of(1000, 999, 0, -1000);
    const normalizer = logNormalizer(logits);
    expect(logits.reduce((sum, logit) => sum + Math.exp(logit - normalizer), 0)).toBeCloseTo(1, 12);
  });

  test("refuses what is not a number", () => {
    expect(() => logNormalizer(Float32Array.of(0, Number.NaN))).toThrowError(expect.objectContaining({ code: "MODEL_FAILED" }));
    expect(() => logNormalizer(Float32Array.of(0, Number.POSITIVE_INFINITY))).toThrowError(
      expect.objectContaining({ code: "MODEL_FAILED" }),
    );
  });
});

describe("banRepeatedNgrams", () => {
  const allowedAfter = (sequence: number[], size: number) => {
    const logits = new Float32Array(6);
    banRepeatedNgrams(logits, sequence, size);
    return [...logits.keys()].filter((token) => logits[token] === 0);
  };

  test("bans the token that would complete a run a second time", () => {
    expect(allowedAfter([1, 2, 3, 1, 2], 3)).toEqual([0, 1, 2, 4, 5]);
    expect(allowedAfter([1, 2, 3, 1, 2, 4, 1, 2], 3)).toEqual([0, 1, 2, 5]);
    expect(allowedAfter([1, 1], 2)).toEqual([0, 2, 3, 4, 5]);
  });

  test("of size 1 bans every token that was there", () => {
    expect(allowedAfter([2, 0, 5], 1)).toEqual([1, 3, 4]);
  });

  test("bans nothing in a sequence that is too short, or at size 0", () => {
    expect(allowedAfter([1, 2], 3)).toHaveLength(6);
    expect(allowedAfter([], 1)).toHaveLength(6);
    expect(allowedAfter([1, 1, 1, 1], 0)).toHaveLength(6);
  });
});
