import { expect, test } from "vitest";
import { searchOptions } from "../../../inference/florence2/search-options.ts";

const silent = {
  beams: null,
  maxTokens: null,
  noRepeatNgramSize: null,
  lengthPenalty: null,
  earlyStopping: null,
};
const config = { generation: silent, positionsMax: 4096 };

test("where nobody says anything, the search is the reference's", () => {
  const reference = {
    beams: 3,
    maxTokens: 1024,
    noRepeatNgramSize: 3,
    lengthPenalty: 1,
    earlyStopping: true,
  };
  expect(searchOptions({}, {}, config)).toEqual(reference);
});

test("the request goes before the model's settings, and these before its configuration", () => {
  const generation = {
    beams: 4,
    maxTokens: 40,
    noRepeatNgramSize: 4,
    lengthPenalty: 4,
    earlyStopping: false,
  } as const;
  const model = { beams: 2, maxTokens: 20, noRepeatNgramSize: 0 };
  const options = searchOptions({ beams: 1, maxTokens: null }, model, {
    generation,
    positionsMax: 512,
  });
  expect(options).toEqual({
    beams: 1,
    maxTokens: 20,
    noRepeatNgramSize: 0,
    lengthPenalty: 4,
    earlyStopping: false,
  });
});

test("an answer is never longer than the decoder's positions", () => {
  expect(
    searchOptions({ maxTokens: 1000 }, {}, { generation: silent, positionsMax: 512 }).maxTokens,
  ).toBe(512);
});
