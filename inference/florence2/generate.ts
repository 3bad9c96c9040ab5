import { setImmediate } from "node:timers/promises";
import { AppError } from "../../core/errors.ts";
import { advance, type Hypothesis, type Search, type SpecialTokens, startSearch } from "./beam.ts";
import { startDecoding } from "./decoder.ts";
import type { Encoding } from "./encoding.ts";
import type { Graphs } from "./graphs.ts";
import type { ModelConfig } from "./model-config.ts";
import type { SearchOptions } from "./search-options.ts";

/** The best answer to one question, and when it was found. */
export interface Found {
  readonly best: Hypothesis;
  readonly generateMs: number;
}

/**
 * Answers the questions of an encoding, each under its own options, all in one batch: every live beam of every question is a row. A question
 * that is answered leaves the batch. Throws AppError CANCELED between two tokens once `signal` is aborted.
 */
export async function generate(
  graphs: Pick<Graphs, "embed" | "decoder">,
  encoding: Encoding,
  run: {
    options: readonly SearchOptions[];
    special: SpecialTokens;
    model: Pick<ModelConfig, "width" | "decoder">;
    signal: AbortSignal | undefined;
  },
): Promise<Found[]> {
  const started = performance.now();
  const decoding = startDecoding(graphs, encoding, run.model);
  const found = new Map<number, Found>();
  let searches = run.options.map((options, question) => ({ question, search: startSearch(options, run.special) }));
  for (;;) {
    await setImmediate(); // lets an abort arrive
    throwIfCanceled(run.signal);
    const logits = await decoding.step(searches.flatMap(({ search }) => search.live.map((beam) => beam.ids.at(-1) ?? run.special.start)));

    let row = 0; // where a search's rows begin
    const kept: { row: number; question: number }[] = [];
    searches = searches.flatMap(({ question, search }) => {
      const first = row;
      row += search.live.length;
      const next = advance(search, logits.slice(first, row), run.special);
      if (next.live.length === 0) found.set(question, { best: bestOf(next), generateMs: performance.now() - started });
      kept.push(...next.live.map((beam) => ({ row: first + beam.parent, question })));
      return next.live.length === 0 ? [] : [{ question, search: next }];
    });
    if (searches.length === 0) break;
    decoding.keep(
      kept.map((beam) => beam.row),
      kept.map((beam) => beam.question),
    );
  }
  return run.options.flatMap((_, question) => found.get(question) ?? []);
}

/** Throws AppError CANCELED once a signal is aborted. */
export function throwIfCanceled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AppError("CANCELED", "The run was canceled.");
}

function bestOf(search: Search): Hypothesis {
  const [best] = search.finished;
  if (best) return best;
  throw new AppError("MODEL_FAILED", "No token was left that may follow.", { fix: "Lower noRepeatNgramSize, or set it to 0." });
}
