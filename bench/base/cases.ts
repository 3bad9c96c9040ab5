import type { Work } from "./side.ts";

/**
 * Two works of the same worth, one for each side; several of the anchor's are done one after the
 * other, as it has to.
 */
export interface Case {
  readonly title: string;
  readonly anchor: readonly Work[];
  readonly ours: Work;
  /**
   * What a sample is worth, of the summed works: the whole time, or the time of a token past the
   * 512th.
   */
  readonly measure: "whole" | "first 512 tokens" | "a token past 512";
  /** Ratios to reach: the anchor's time over ours. */
  readonly targets: { readonly fp32?: number; readonly int8?: number };
  /** Rounds in which it is measured at most: the costly ones are not measured in all. */
  readonly roundsMax: number;
}

/** Florence-2's own questions. */
const prompts = [
  "What does the image describe?",
  "Locate the objects with category name in the image.",
  "What is the text in the image?",
  "Describe in detail what is shown in the image.",
  "Locate the objects in the image, with their descriptions.",
  "Locate the region proposals in the image.",
  "Describe with a paragraph what is shown in the image.",
  "What is the text in the image, with regions?",
] as const;

const ask = (count: number, { beams = 1, tokens = 64 } = {}): Work => ({
  picture: "photo",
  prompts: prompts.slice(0, count),
  beams,
  tokens,
});
const alone = (count: number): Work[] =>
  ask(count).prompts.map((prompt) => ({ ...ask(1), prompts: [prompt] }));
const long = ask(1, { tokens: 576 });
const always = Number.POSITIVE_INFINITY;

export const cases = {
  one: {
    title: "one task, 64 tokens",
    anchor: alone(1),
    ours: ask(1),
    measure: "whole",
    targets: { fp32: 1.2, int8: 1.3 },
    roundsMax: always,
  },
  beams: {
    title: "one task, our 3 beams, its 1",
    anchor: alone(1),
    ours: ask(1, { beams: 3 }),
    measure: "whole",
    targets: { fp32: 1 },
    roundsMax: always,
  },
  three: {
    title: "3 tasks on one image",
    anchor: alone(3),
    ours: ask(3),
    measure: "whole",
    targets: { fp32: 2.3, int8: 2.7 },
    roundsMax: always,
  },
  six: {
    title: "6 tasks on one image",
    anchor: alone(6),
    ours: ask(6),
    measure: "whole",
    targets: { fp32: 4 },
    roundsMax: always,
  },
  long: {
    title: "one task, 512 tokens",
    anchor: [long],
    ours: long,
    measure: "first 512 tokens",
    targets: {},
    roundsMax: always,
  },
  past: {
    title: "a token past 512",
    anchor: [long],
    ours: long,
    measure: "a token past 512",
    targets: { fp32: 1.7 },
    roundsMax: always,
  },
  batch: {
    title: "8 prompts as one batch",
    anchor: [ask(8)],
    ours: ask(8),
    measure: "whole",
    targets: {},
    roundsMax: 2,
  },
} as const satisfies Record<string, Case>;

/** Both sides must give the same answers to these in fp32. */
export const control: readonly Work[] = alone(3).map((work) => ({ ...work, picture: "exact" }));

export type CaseName = keyof typeof cases;
export const caseNames = Object.keys(cases) as CaseName[];
