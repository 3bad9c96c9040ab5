import type { Finish } from "../../schema/answer.ts";
import type { LocationGroup } from "../../schema/task.ts";
import { outlookOf } from "./logits.ts";
import { repeatsOf, type Said, say, startSaying } from "./said.ts";
import type { SearchOptions } from "./search-options.ts";

/**
 * How one answer is searched for, and how its locations are grouped; null where nothing says so.
 */
export interface SearchRules extends SearchOptions {
  readonly locationGroup: LocationGroup | null;
}

/** An answer in the making. */
export interface Beam {
  readonly last: Said;
  /** Sum of the log-probabilities; forced tokens count 0, as in the reference. */
  readonly score: number;
  /** The row of the last step that this beam continues. */
  readonly parent: number;
  /** Locations of an unfinished group that it ends with. */
  readonly unfinished: number;
}

/**
 * A complete answer. `rank`: its score / length^lengthPenalty, the length without the start token
 * and with `</s>`.
 */
export interface Hypothesis {
  readonly last: Said;
  readonly rank: number;
  readonly finish: Finish;
}

/**
 * The search for one answer: done once no beam lives. Each live beam is one row of the decoder's
 * batch.
 */
export interface Search {
  readonly rules: SearchRules;
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
  /** `<loc_0>` and those that follow it. */
  readonly locations: { readonly first: number; readonly count: number };
}

/** What the decoder says after each of its rows. */
export interface StepLogits {
  /** [V] each, or [1000] */
  readonly rows: readonly Float32Array[];
  /** Whether the rows are of the locations only. */
  readonly locationsOnly: boolean;
}

interface Continuation {
  readonly token: number;
  readonly parent: number;
  readonly score: number;
  readonly logProbability: number;
  readonly finish: Finish;
}

/**
 * A search that has seen nothing yet: one beam, because the forced first token would give all of
 * them the same row.
 */
export function startSearch(rules: SearchRules, special: Pick<SpecialTokens, "start">): Search {
  return {
    rules,
    live: [{ last: startSaying(special.start), score: 0, parent: 0, unfinished: 0 }],
    finished: [],
  };
}

/** Whether a location must follow, whichever beam it is that goes on. */
export function wantsLocations({ rules, live }: Search): boolean {
  return live.every((beam) => wantsLocation(beam, rules));
}

/**
 * One step, as in transformers' `_beam_search` (4.50 and later): of the 2 · beams best
 * continuations, `</s>` among the first `beams` completes a hypothesis and the first `beams` others
 * live on. `logits` begin with the rows of the live beams and are used up.
 *
 * One rule is ours: a group of locations that has begun is completed. Three numbers are no box, so
 * an answer that stops there has lost one; and where only a location may follow, the decoder needs
 * a fiftieth of its head, which makes the step 1.3 to 1.5 times as fast. The probability of such a
 * token is that among the locations, also where logits of other tokens are at hand: who shares a
 * batch must not change an answer.
 */
export function advance(search: Search, logits: StepLogits, special: SpecialTokens): Search {
  const { rules } = search;
  const best = search.live
    .flatMap((beam, parent) => continuations(beam, parent, { logits, rules, special }))
    .sort((a, b) => b.score - a.score)
    .slice(0, 2 * rules.beams);

  const complete: Hypothesis[] = [];
  const live: Beam[] = [];
  for (const [place, next] of best.entries()) {
    const beam = search.live[next.parent];
    if (!beam) continue;
    const { score, parent, finish } = next;
    if (next.token !== special.eos) {
      if (live.length < rules.beams)
        live.push({
          last: say(beam.last, next),
          score,
          parent,
          unfinished: unfinishedAfter(beam, next.token),
        });
    } else if (place < rules.beams) {
      complete.push({
        last: say(beam.last, next),
        rank: score / beam.last.length ** rules.lengthPenalty,
        finish,
      });
    }
  }
  const finished = [...search.finished, ...complete]
    .sort((a, b) => b.rank - a.rank)
    .slice(0, rules.beams);
  return { rules, finished, live: isDecided(rules, live, finished) ? [] : live };

  function unfinishedAfter(beam: Beam, token: number): number {
    const { first, count } = special.locations;
    const isLocation = token >= first && token < first + count;
    return isLocation && rules.locationGroup !== null
      ? (beam.unfinished + 1) % rules.locationGroup
      : 0;
  }
}

/** At the length limit `</s>` follows, whatever is unfinished. */
function wantsLocation(beam: Beam, rules: SearchRules): boolean {
  return beam.unfinished > 0 && beam.last.length < rules.maxTokens;
}

/**
 * The tokens that may follow one beam, under the reference's processors (no repeated n-grams,
 * forced first token, forced last token) and the rule of groups.
 */
function continuations(
  beam: Beam,
  parent: number,
  { logits, rules, special }: { logits: StepLogits; rules: SearchRules; special: SpecialTokens },
): Continuation[] {
  const row = logits.rows[parent] ?? new Float32Array();
  const repeats = repeatsOf(beam.last, rules.noRepeatNgramSize);
  const likeliest = (
    of: Float32Array,
    { first, end }: { first: number; end: number },
    count: number,
  ) => {
    const { candidates, normalizer } = outlookOf(of, {
      count,
      end,
      banned: repeats.map((token) => token - first),
    });
    const found = candidates.map(({ token, logit }) => ({
      token: first + token,
      logProbability: logit - normalizer,
    }));
    return { found, normalizer };
  };
  const free = (tokens: readonly { token: number; logProbability: number }[]) =>
    tokens.map((next) => ({
      ...next,
      parent,
      score: beam.score + next.logProbability,
      finish: "END" as const,
    }));

  if (wantsLocation(beam, rules)) {
    const { first, count } = special.locations;
    const locations = logits.locationsOnly ? row : row.subarray(first, first + count);
    return free(likeliest(locations, { first, end: count }, 2 * rules.beams).found);
  }
  const raw = { bos: row[special.bos] ?? 0, eos: row[special.eos] ?? 0 };
  const { found, normalizer } = likeliest(row, { first: 0, end: special.count }, 2 * rules.beams);
  const forced = (token: number, logit: number, finish: Finish) => [
    { token, logProbability: logit - normalizer, parent, score: beam.score, finish },
  ];
  if (beam.last.length >= rules.maxTokens) {
    const endsItself = beam.unfinished === 0 && found[0]?.token === special.eos;
    return forced(special.eos, raw.eos, endsItself ? "END" : "LENGTH");
  }
  if (beam.last.length === 1) return forced(special.bos, raw.bos, "END");
  return free(found);
}

/**
 * Whether the live beams no longer matter. The reference's greedy search (one beam) ends with its
 * first `</s>`.
 */
function isDecided(
  rules: SearchRules,
  live: readonly Beam[],
  finished: readonly Hypothesis[],
): boolean {
  const worst = finished[rules.beams - 1];
  const [best] = live;
  if (!best) return true;
  if (!worst) return false;
  if (rules.earlyStopping === true || rules.beams === 1) return true;
  const patient = rules.earlyStopping === "never" && rules.lengthPenalty > 0;
  const length = patient ? rules.maxTokens : best.last.length - 1;
  return best.score / length ** rules.lengthPenalty <= worst.rank;
}
