import { setImmediate } from "node:timers/promises";
import { AppError } from "../../core/errors.ts";
import type { Finish } from "../../schema/answer.ts";
import {
  advance,
  type Beam,
  type Search,
  type SearchRules,
  type SpecialTokens,
  startSearch,
  wantsLocations,
} from "./beam.ts";
import { startDecoding } from "./decoder.ts";
import type { Encoding } from "./encoding.ts";
import type { Graphs } from "./graphs.ts";
import type { ModelConfig } from "./model-config.ts";
import { answerOf } from "./said.ts";

/** When generation goes on, and when it stops. */
export interface Pace {
  readonly signal?: AbortSignal | undefined;
  /** Awaited before each token; absent: the end of this turn of the event loop. */
  readonly turn?: (() => Promise<void>) | undefined;
}

/** The best answer to one question, without the start token, and when it was found. */
export interface Found {
  readonly ids: readonly number[];
  readonly logProbabilities: readonly number[];
  readonly finish: Finish;
  readonly generateMs: number;
}

/**
 * Answers the questions of an encoding, each under its own rules but with as many beams, all in one
 * batch: every live beam of every question is a row. A question that is answered leaves the batch.
 * Throws AppError CANCELED between two tokens once `signal` is aborted.
 */
export async function generate(
  graphs: Pick<Graphs, "embed" | "decoder">,
  encoding: Encoding,
  run: {
    rules: readonly SearchRules[];
    special: SpecialTokens;
    model: Pick<ModelConfig, "width" | "decoder">;
  } & Pace,
): Promise<Found[]> {
  const started = performance.now();
  const { special } = run;
  const { signal, turn = () => setImmediate() } = run;
  const decoding = startDecoding(graphs, encoding, run.model);
  const found = new Map<number, Found>();
  let asked = run.rules.map((rules, question) => ({
    question,
    search: startSearch(rules, special),
  }));
  let rowsEach = 1;
  for (;;) {
    await turn(); // lets an abort arrive, at least
    throwIfCanceled(signal);
    const tokens = asked.flatMap(({ search }) =>
      beamsOf(search, rowsEach).map((beam) => beam.last.token),
    );
    const locationsOnly = asked.every(({ search }) => wantsLocations(search));
    const logits = await decoding.step(tokens, { locationsOnly });

    const advanced = asked.map(({ question, search }, i) => {
      const firstRow = i * rowsEach;
      const rows = logits.rows.slice(firstRow, firstRow + rowsEach);
      return { question, firstRow, search: advance(search, { ...logits, rows }, special) };
    });
    for (const { question, search } of advanced) {
      if (search.live.length === 0)
        found.set(question, { ...bestOf(search), generateMs: performance.now() - started });
    }
    const left = advanced.filter(({ search }) => search.live.length > 0);
    if (left.length === 0) break;
    rowsEach = Math.max(...left.map(({ search }) => search.live.length));
    decoding.keep(
      left.flatMap(({ search, firstRow }) =>
        beamsOf(search, rowsEach).map((beam) => firstRow + beam.parent),
      ),
      left.map(({ question }) => question),
    );
    asked = left;
  }
  return run.rules.flatMap((_, question) => found.get(question) ?? []);
}

/** The live beams; the last once more for each row that is left over. */
function beamsOf({ live }: Search, rows: number): Beam[] {
  return Array.from({ length: rows }, (_, row) => live[Math.min(row, live.length - 1)]).flatMap(
    (beam) => beam ?? [],
  );
}

/** Throws AppError CANCELED once a signal is aborted. */
export function throwIfCanceled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AppError("CANCELED", "The run was canceled.");
}

function bestOf({ finished: [best] }: Search): Omit<Found, "generateMs"> {
  if (best) return { ...answerOf(best.last), finish: best.finish };
  throw new AppError("MODEL_FAILED", "No token was left that may follow.", {
    fix: "Lower noRepeatNgramSize, or set it to 0.",
  });
}
