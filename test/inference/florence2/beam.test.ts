import { describe, expect, test } from "vitest";
import {
  advance,
  type SearchRules,
  startSearch,
  wantsLocations,
} from "../../../inference/florence2/beam.ts";
import { answerOf } from "../../../inference/florence2/said.ts";
import { random } from "./fixtures.ts";
import { search } from "./reference.ts";

const locations = { first: 5, count: 6 };
const special = { start: 2, bos: 0, eos: 2, count: 12, locations };
const defaults: SearchRules = {
  beams: 3,
  maxTokens: 10,
  noRepeatNgramSize: 0,
  lengthPenalty: 1,
  earlyStopping: true,
  locationGroup: null,
};
type Model = (ids: readonly number[]) => number[];

/**
 * Runs a search over a language model given as a function from a prefix to logits;
 * `isHeadRestricted`: where only locations are wanted, of these only.
 */
function run(model: Model, rules: SearchRules, isHeadRestricted = false) {
  let state = startSearch(rules, special);
  let restricted = 0;
  while (state.live.length > 0) {
    const locationsOnly = isHeadRestricted && wantsLocations(state);
    const { first, count } = locations;
    const rows = state.live.map(({ last }) => {
      const logits = Float32Array.from(model([special.start, ...answerOf(last).ids]));
      return locationsOnly ? logits.slice(first, first + count) : logits;
    });
    restricted += Number(locationsOnly);
    state = advance(state, { rows, locationsOnly }, special);
  }
  const finished = state.finished.map(({ last, rank, finish }) => ({
    ...answerOf(last),
    rank,
    finish,
  }));
  return { finished, best: finished[0], restricted };
}

/**
 * Logits drawn from the prefix alone; `</s>` is made likelier so that answers end at different
 * lengths.
 */
function randomModel(seed: number): Model {
  return (ids) => {
    const next = random(ids.reduce((hash, id) => Math.imul(hash ^ id, 16_777_619), seed));
    next();
    const logits = Array.from({ length: special.count }, () => Math.fround(4 * next()));
    logits[special.eos] = Math.fround((logits[special.eos] ?? 0) + 1);
    return logits;
  };
}

function logSoftmax(logits: number[]): number[] {
  const normalizer = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
  return logits.map((logit) => logit - normalizer);
}

describe("a search", () => {
  const variants = [1, 2, 3, 5].flatMap((beams) =>
    ([true, false, "never"] as const).flatMap((earlyStopping) =>
      [0, 2, 3].flatMap((noRepeatNgramSize) =>
        [0, 1, 2].map((lengthPenalty) => ({
          ...defaults,
          beams,
          earlyStopping,
          noRepeatNgramSize,
          lengthPenalty,
        })),
      ),
    ),
  );

  test("finds what the plain reference finds, in any language model and under any rules", async () => {
    const lengths = new Set<number>();
    for (const [i, options] of variants.entries()) {
      for (let seed = 0; seed < 4; seed += 1) {
        const rules = { ...options, locationGroup: ([null, 2, 4, 8] as const)[seed] ?? null };
        const model = randomModel(100 * i + seed);
        const expected = await search(async (ids) => logSoftmax(model(ids)), rules, locations);
        const { best } = run(model, rules);
        expect(best?.ids, JSON.stringify({ rules, seed })).toEqual(expected.ids);
        expect(best?.logProbabilities).toHaveLength(expected.logProbabilities.length);
        expected.logProbabilities.forEach((value, k) => {
          expect(best?.logProbabilities[k]).toBeCloseTo(value, 6);
        });
        lengths.add(expected.ids.length);
      }
    }
    expect(lengths.size).toBeGreaterThan(5); // or the models would be too dull to tell
  });

  test("finds the same, to the last digit, whether or not it sees the other logits where only a location may follow", () => {
    let restricted = 0;
    for (const [i, options] of variants.entries()) {
      for (const locationGroup of [2, 4, 8] as const) {
        const rules = { ...options, locationGroup, maxTokens: 24 };
        const narrow = run(randomModel(i), rules, true);
        expect(narrow.finished, JSON.stringify(rules)).toEqual(run(randomModel(i), rules).finished);
        restricted += narrow.restricted;
      }
    }
    expect(restricted).toBeGreaterThan(500);
  });

  test("completes every group of locations that it begins, unless the limit cuts it off", () => {
    let groups = 0;
    for (let seed = 0; seed < 60; seed += 1) {
      const { finished } = run(randomModel(seed), { ...defaults, locationGroup: 4, maxTokens: 20 });
      for (const { ids, finish } of finished) {
        const runs = ids
          .map((id) => (id >= 5 && id < 11 ? "x" : " "))
          .join("")
          .split(" ")
          .filter((each) => each !== "");
        if (finish === "LENGTH") runs.pop();
        for (const each of runs) expect(each.length % 4).toBe(0);
        groups += runs.length;
      }
    }
    expect(groups).toBeGreaterThan(50);
  });

  test("that the limit cuts off inside of a group says LENGTH, though its model would rather end", () => {
    const { best } = run((ids) => [0, 0, ids.length > 2 ? 9 : 0, 0, 0, 8], {
      ...defaults,
      beams: 1,
      maxTokens: 4,
      locationGroup: 4,
    });
    expect(best).toMatchObject({ ids: [0, 5, 5, 2], finish: "LENGTH" });
  });

  test("begins with <s>, whatever the model would say, and counts it nothing", () => {
    const { best } = run((ids) => (ids.length === 1 ? [-50, 0, 0, 9] : [0, 0, 9, 0]), defaults);
    expect(best?.ids).toEqual([0, 2]);
    expect(best?.logProbabilities[0]).toBeLessThan(-50);
    expect(best?.rank).toBeCloseTo((best?.logProbabilities[1] ?? 0) / 2, 6);
  });

  test("that runs into the limit is closed with </s> and says LENGTH", () => {
    const { best } = run(() => [0, 0, -9, 9, 8], { ...defaults, maxTokens: 4 });
    expect(best).toMatchObject({ ids: [0, 3, 3, 2], finish: "LENGTH" });
  });

  test("whose model ends by itself exactly at the limit says END", () => {
    const { best } = run((ids) => (ids.length < 4 ? [0, 0, -9, 9, 8] : [0, 0, 9, 0, 0]), {
      ...defaults,
      maxTokens: 4,
    });
    expect(best).toMatchObject({ ids: [0, 3, 3, 2], finish: "END" });
  });

  test("never chooses an id that the tokenizer has no text for", () => {
    const { best } = run((ids) => [0, 0, ids.length === 3 ? 20 : 0, 5, ...Array(8).fill(0), 99], {
      ...defaults,
      beams: 1,
    });
    expect(best?.ids).toEqual([0, 3, 2]);
  });

  test("prefers a sure long answer where the length penalty favours length", () => {
    // </s> at once: log(1/2) over 2 tokens; the long way: the same doubt once, then certainty.
    const model = (ids: readonly number[]) =>
      ids.length === 2 ? [-99, -99, 5, 4.9] : [-99, -99, ids.length === 8 ? 99 : -99, 9];
    expect(run(model, { ...defaults, lengthPenalty: 0 }).best?.ids).toHaveLength(2);
    expect(run(model, { ...defaults, lengthPenalty: 1 }).best?.ids).toHaveLength(8);
  });
});
