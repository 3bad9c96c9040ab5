import type { StepLogits } from "./beam.ts";

/**
 * The decoder at work on one batch: its rows and their key/value caches. Rows stand by question, as
 * many for each question.
 */
export interface Decoding {
  /**
   * Feeds one token to each row. `locationsOnly`: logits of other tokens are not asked for, and
   * come only where the graph cannot leave them out. What it returns is good until the next step.
   */
  step(tokens: readonly number[], wanted: { locationsOnly: boolean }): Promise<StepLogits>;
  /**
   * Row i goes on from what was row `rows[i]`. `questions`: the encoding's rows that are still
   * asked, in order.
   */
  keep(rows: readonly number[], questions: readonly number[]): void;
}

/**
 * The caches of one side of attention, as the graphs name them after `past_key_values.` and
 * `present.`.
 */
export function cacheNames(layers: number, side: "decoder" | "encoder"): string[] {
  return Array.from({ length: layers }, (_, layer) => [
    `${layer}.${side}.key`,
    `${layer}.${side}.value`,
  ]).flat();
}
