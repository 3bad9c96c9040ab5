import { fillOptions } from "../../core/generation.ts";
import type { GenerateOptions } from "../../schema/task.ts";
import { optionBounds } from "../../schema/tasks/input.ts";
import type { GenerationDefaults } from "./model-config.ts";

/**
 * How one answer is searched for; the names and meanings are those of transformers' generation
 * configuration.
 */
export interface SearchOptions {
  /** 1 is greedy. */
  readonly beams: number;
  /** Tokens of the answer, the forced first `<s>` and the closing `</s>` included. */
  readonly maxTokens: number;
  /** No run of this many tokens comes twice; 0 allows any. */
  readonly noRepeatNgramSize: number;
  readonly lengthPenalty: number;
  /**
   * When to stop looking, once `beams` answers are complete: at once, when the live beams look
   * worse, or when they cannot become better.
   */
  readonly earlyStopping: boolean | "never";
}

/**
 * Fills open options from the model's own defaults, then from its configuration, then from the
 * reference's (3 beams, no 3 tokens twice). An answer cannot be longer than the decoder's
 * positions: a larger `maxTokens` means that many.
 */
export function searchOptions(
  request: GenerateOptions,
  model: GenerateOptions,
  config: { generation: GenerationDefaults; positionsMax: number },
): SearchOptions {
  const { generation, positionsMax } = config;
  const options = fillOptions(request, model, generation);
  return {
    ...options,
    maxTokens: Math.min(options.maxTokens, positionsMax, optionBounds.maxTokens.max),
    earlyStopping: generation.earlyStopping ?? true,
  };
}
