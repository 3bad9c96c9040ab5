import { expect, test } from "vitest";
import { fillOptions, savedOptions } from "../../core/generation.ts";

test("an option is what was said first, and in the end what the reference does", () => {
  expect(fillOptions()).toEqual({
    beams: 3,
    maxTokens: 1024,
    noRepeatNgramSize: 3,
    lengthPenalty: 1,
  });
  expect(
    fillOptions({ beams: null, noRepeatNgramSize: 0 }, { beams: 2, noRepeatNgramSize: 5 }),
  ).toEqual({
    beams: 2,
    maxTokens: 1024,
    noRepeatNgramSize: 0,
    lengthPenalty: 1,
  });
});

test("generation_config.json goes before config.json; what makes no sense counts as unsaid", () => {
  expect(
    savedOptions({ num_beams: 5, length_penalty: 0.5 }, { num_beams: 2, no_repeat_ngram_size: 4 }),
  ).toEqual({
    beams: 5,
    maxTokens: null,
    noRepeatNgramSize: 4,
    lengthPenalty: 0.5,
  });
  expect(savedOptions({ num_beams: 0, length_penalty: "long" }, {})).toMatchObject({
    beams: null,
    lengthPenalty: null,
  });
});

test.each([
  { generation: { max_new_tokens: 64, max_length: 9 }, maxTokens: 64 },
  { generation: { max_length: 101 }, maxTokens: 100 },
  { generation: { max_length: 20 }, maxTokens: null },
  { generation: { max_new_tokens: 1 }, maxTokens: null },
])("the longest answer of $generation is $maxTokens tokens", ({ generation, maxTokens }) => {
  expect(savedOptions(generation, {}).maxTokens).toBe(maxTokens);
});
