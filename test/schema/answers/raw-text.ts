import fc from "fast-check";

/** Any text, and mixtures of words, whole and torn tokens that come near to what a model says. */
export const rawText: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: "binary" }),
  fc
    .array(
      fc.oneof(
        { weight: 6, arbitrary: fc.integer({ min: 0, max: 1010 }).map((bin) => `<loc_${bin}>`) },
        {
          weight: 2,
          arbitrary: fc.array(fc.integer({ min: 0, max: 999 }), { maxLength: 12 }).map(locations),
        },
        { weight: 3, arbitrary: fc.constantFrom("<poly>", "</poly>", "<sep>", "<and>") },
        {
          weight: 2,
          arbitrary: fc.constantFrom(
            "car",
            " café 猫 ",
            "<loc_",
            "<loc_007>",
            "5>",
            "</s>",
            "<s>",
            "<pad>",
            "\n",
            "  ",
            "𝕏",
          ),
        },
        { weight: 1, arbitrary: fc.string({ unit: "grapheme", maxLength: 5 }) },
      ),
      { maxLength: 60 },
    )
    .map((parts) => parts.join("")),
);

export const imageSize = fc.record({
  width: fc.integer({ min: 1, max: 16_384 }),
  height: fc.integer({ min: 1, max: 16_384 }),
});

export function locations(bins: readonly number[]): string {
  return bins.map((bin) => `<loc_${bin}>`).join("");
}

/** The location tokens in a text, counted without the code under test. */
export function countLocations(text: string): number {
  const vocabulary = new Set(Array.from({ length: 1000 }, (_, bin) => `<loc_${bin}>`));
  return [...text.matchAll(/<loc_\d+>/g)].filter(([token]) => vocabulary.has(token)).length;
}
