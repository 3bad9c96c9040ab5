import type { Finish } from "../../schema/answer.ts";
import { banRepeatedNgrams, type Candidate, largestLogits, logNormalizer } from "./logits.ts";
import type { SearchOptions } from "./search-options.ts";

/** An answer in the making. */
export interface Beam {
  /** Decoder ids, the start token first. */
  readonly ids: readonly number[];
  /** Of every id but the start token: log_softmax of the raw logits. */
  readonly logProbabilities: readonly number[];
  /** Sum of the log-probabilities; forced tokens count 0, as in the reference. */
  readonly score: number;
  /** The row of the last step that this beam continues. */
  readonly parent: number;
}

/** A complete answer. `rank`: its score / length^lengthPenalty, the length without the start token and with `</s>`. */
export interface Hypothesis {
  readonly ids: readonly number[];
  readonly logProbabilities: readonly number[];
  readonly rank: number;
  readonly finish: Finish;
}

/** The search for one answer: done once no beam lives. Each live beam is one row of the decoder's batch. */
export interface Search {
  readonly options: SearchOptions;
  readonly live: readonly Beam[];
  /** At most `beams`, best first. */
  readonly finished: readonly Hypothesis[];
}

export interface SpecialTokens {
  readonly start: number;
  /** `<s>`, forced as the first token of every answer. */
  readonly bos: number;
  /** `</s>`, forced at the length limit. */
  readonly eos: number;
  /** Ids from here on are padding of the embedding table: the tokenizer has no text for them. */
  readonly count: number;
}

interface Continuation extends Candidate {
  readonly parent: number;
  readonly score: number;
  readonly logProbability: number;
  readonly finish: Finish;
}

/** A search that has seen nothing yet: one beam, because the forced first token would give all of them the same row. */
export function startSearch(options: SearchOptions, special: SpecialTokens): Search {
  return { options, live: [{ ids: [special.start], logProbabilities: [], score: 0, parent: 0 }], finished: [] };
}

/**
 * One step, as in transformers' `_beam_search` (4.50 and later): of the 2 · beams best continuations, `</s>` among the first `beams`
 * completes a hypothesis and the first `beams` others live on. `rows` are the logits [vocabulary] of each live beam; they are used up.
 */
export function advance(search: Search, rows: readonly Float32Array[], special: SpecialTokens): Search {
  const { options } = search;
  const best = search.live
    .flatMap((beam, parent) => continuations(beam, parent, rows[parent] ?? new Float32Array(), { options, special }))
    .sort((a, b) => b.score - a.score)
    .slice(0, 2 * options.beams);

  const extend = (next: Continuation) => ({
    ids: [...(search.live[next.parent]?.ids ?? []), next.token],
    logProbabilities: [...(search.live[next.parent]?.logProbabilities ?? []), next.logProbability],
  });
  const length = search.live[0]?.ids.length ?? 1; // of every answer that ends with this step
  const complete = best
    .slice(0, options.beams)
    .filter((next) => next.token === special.eos)
    .map((next) => ({ ...extend(next), rank: next.score / length ** options.lengthPenalty, finish: next.finish }));
  const finished = [...search.finished, ...complete].sort((a, b) => b.rank - a.rank).slice(0, options.beams);
  const live = best
    .filter((next) => next.token !== special.eos)
    .slice(0, options.beams)
    .map((next) => ({ ...extend(next), score: next.score, parent: next.parent }));
  return { options, finished, live: isDecided(options, live, finished) ? [] : live };
}

/** The tokens that may follow one beam, under the reference's processors: no repeated n-grams, forced first token, forced last token. */
function continuations(
  beam: Beam,
  parent: number,
  logits: Float32Array,
  { options, special }: { options: SearchOptions; special: SpecialTokens },
): Continuation[] {
  const normalizer = logNormalizer(logits);
  const raw = { bos: logits[special.bos] ?? 0, eos: logits[special.eos] ?? 0 };
  const allowed = logits.subarray(0, special.count);
  const forced = (token: number, logit: number, finish: Finish) => [
    { token, logit, parent, score: beam.score, logProbability: logit - normalizer, finish },
  ];
  banRepeatedNgrams(allowed, beam.ids, options.noRepeatNgramSize);
  if (beam.ids.length >= options.maxTokens) {
    const [likeliest] = largestLogits(allowed, 1);
    return forced(special.eos, raw.eos, likeliest?.token === special.eos ? "END" : "LENGTH");
  }
  if (beam.ids.length === 1) return forced(special.bos, raw.bos, "END");
  return largestLogits(allowed, 2 * options.beams).map(({ token, logit }) => {
    const logProbability = logit - normalizer;
    return { token, logit, parent, score: beam.score + logProbability, logProbability, finish: "END" };
  });
}

/** Whether the live beams no longer matter. The reference's greedy search (one beam) ends with its first `</s>`. */
function isDecided(options: SearchOptions, live: readonly Beam[], finished: readonly Hypothesis[]): boolean {
  const worst = finished[options.beams - 1];
  const [best] = live;
  if (!best) return true;
  if (!worst) return false;
  if (options.earlyStopping === true || options.beams === 1) return true;
  const patient = options.earlyStopping === "never" && options.lengthPenalty > 0;
  const length = patient ? options.maxTokens : best.ids.length - 1;
  return best.score / length ** options.lengthPenalty <= worst.rank;
}
