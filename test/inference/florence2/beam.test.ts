import { describe, expect, test } from "vitest";
import { advance, type Hypothesis, startSearch } from "../../../inference/florence2/beam.ts";
import type { SearchOptions } from "../../../inference/florence2/search-options.ts";
import { random } from "./fixtures.ts";
import { search } from "./reference.ts";

const special = { start: 2, bos: 0, eos: 2, count: 12 };
const defaults: SearchOptions = { beams: 3, maxTokens: 10, noRepeatNgramSize: 0, lengthPenalty: 1, earlyStopping: true };

/** Runs a search over a language model given as a function from a prefix to logits. */
function run(logitsAfter: (ids: readonly number[]) => number[], options: SearchOptions): readonly Hypothesis[] {
  let state = startSearch(options, special);
  while (state.live.length > 0) {
    const rows = state.live.map((beam) => Float32Array.from(logitsAfter(beam.ids)));
    state = advance(state, rows, special);
  }
  return state.finished;
}

/** Logits drawn from the prefix alone; `</s>` is made likelier so that answers end at different lengths. */
function randomModel(seed: number): (ids: readonly number[]) => number[] {
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
        [0, 1, 2].map((lengthPenalty) => ({ ...defaults, beams, earlyStopping, noRepeatNgramSize, lengthPenalty })),
      ),
    ),
  );

  test("finds what the plain reference finds, in any language model and under any options", async () => {
    const lengths = new Set<number>();
    for (const [i, options] of variants.entries()) {
      for (let seed = 0; seed < 4; seed += 1) {
        const model = randomModel(100 * i + seed);
        const expected = await search(async (ids) => logSoftmax(model(ids)), options);
        const [best] = run(model, options);
        expect(best?.ids.slice(1), JSON.stringify({ options, seed })).toEqual(expected.ids);
        expect(best?.logProbabilities).toHaveLength(expected.logProbabilities.length);
        expected.logProbabilities.forEach((value, k) => {
          expect(best?.logProbabilities[k]).toBeCloseTo(value, 6);
        });
        lengths.add(expected.ids.length);
      }
    }
    expect(lengths.size).toBeGreaterThan(5); // or the models would be too dull to tell
  });

  test("begins with <s>, whatever the model would say, and counts it nothing", () => {
    const [best] = run((ids) => (ids.length === 1 ? [-50, 0, 0, 9] : [0, 0, 9, 0]), defaults);
    expect(best?.ids).toEqual([2, 0, 2]);
    expect(best?.logProbabilities[0]).toBeLessThan(-50);
    expect(best?.rank).toBeCloseTo((best?.logProbabilities[1] ?? 0) / 2, 6);
  });

  test("that runs into the limit is closed with </s> and says LENGTH", () => {
    const [best] = run(() => [0, 0, -9, 9, 8], { ...defaults, maxTokens: 4 });
    expect(best).toMatchObject({ ids: [2, 0, 3, 3, 2], finish: "LENGTH" });
  });

  test("whose model ends by itself exactly at the limit says END", () => {
    const [best] = run((ids) => (ids.length < 4 ? [0, 0, -9, 9, 8] : [0, 0, 9, 0, 0]), { ...defaults, maxTokens: 4 });
    expect(best).toMatchObject({ ids: [2, 0, 3, 3, 2], finish: "END" });
  });

  test("never chooses an id that the tokenizer has no text for", () => {
    const [best] = run((ids) => [0, 0, ids.length === 3 ? 20 : 0, 5, ...Array(8).fill(0), 99], { ...defaults, beams: 1 });
    expect(best?.ids).toEqual([2, 0, 3, 2]);
  });

  test("prefers a sure long answer where the length penalty favours length", () => {
    // </s> at once: log(1/2) over 2 tokens; the long way: the same doubt once, then certainty.
    const model = (ids: readonly number[]) => (ids.length === 2 ? [-99, -99, 5, 4.9] : [-99, -99, ids.length === 8 ? 99 : -99, 9]);
    expect(run(model, { ...defaults, lengthPenalty: 0 })[0]?.ids).toHaveLength(3);
    expect(run(model, { ...defaults, lengthPenalty: 1 })[0]?.ids).toHaveLength(9);
  });
});
