import { type Case, type CaseName, cases } from "./cases.ts";
import { foreignShareMax } from "./processor.ts";
import type { Sample, Side, Work } from "./side.ts";

export interface Pair {
  readonly precision: "fp32" | "int8";
  readonly anchor: Side;
  readonly ours: Side;
  /** How many answers to the control works are the same on both sides, every token. */
  readonly sameAnswers: number;
}

/**
 * A machine that is never left alone ends the bench after so many rounds for each that was asked
 * for.
 */
const roundsPerClean = 3;

/** Everything measured of one pair, by side and work. */
export type Samples = Map<string, Sample[]>;
type SideName = "anchor" | "ours";

/**
 * One value of a case on one side: milliseconds, and whether nothing else used the machine
 * meanwhile.
 */
export interface Value {
  readonly ms: number;
  readonly clean: boolean;
}

/**
 * Measures the cases on both sides in turns, one work at a time, the order turned round in every
 * other round. Ends once each case has `rounds` clean values on both sides, after three times as
 * many rounds, or when another round would not fit into `minutes`.
 */
export async function measure(
  pairs: readonly Pair[],
  plan: {
    names: readonly CaseName[];
    rounds: number;
    minutes: number;
    say: (text: string) => void;
  },
): Promise<Map<Pair, Samples>> {
  const results = new Map(pairs.map((pair) => [pair, new Map<string, Sample[]>()]));
  const end = performance.now() + plan.minutes * 60_000;
  let longestMs = 0;
  for (let round = 0; performance.now() + longestMs < end; round += 1) {
    const started = performance.now();
    if (round >= roundsPerClean * plan.rounds) break;
    const works = [...results].flatMap(([pair, samples]) => {
      const open = plan.names.filter(
        (name) => round < cases[name].roundsMax && cleanCount(name, samples) < plan.rounds,
      );
      return worksOf(open).map((each) => ({ ...each, pair, samples }));
    });
    if (works.length === 0) break;
    for (const { pair, samples, side, work } of round % 2 === 0 ? works : works.toReversed()) {
      const key = keyOf(side, work);
      samples.set(key, [...(samples.get(key) ?? []), await pair[side].ask(work)]);
    }
    const ms = performance.now() - started;
    longestMs = Math.max(longestMs, ms);
    plan.say(`round ${round + 1}: ${(ms / 1_000).toFixed(0)} s`);
  }
  return results;
}

/** Clean values that both sides have of a case. */
function cleanCount(name: CaseName, samples: Samples): number {
  return Math.min(
    ...(["anchor", "ours"] as const).map((side) => cleanOf(valuesOf(name, side, samples)).length),
  );
}

/**
 * The values of a case on one side; where a value is the sum of several works, the i-th of each
 * make one.
 */
export function valuesOf(name: CaseName, side: SideName, samples: Samples): Value[] {
  const { measure, ...sides }: Case = cases[name];
  const works = side === "anchor" ? sides.anchor : [sides.ours];
  const series = works.map((work) => samples.get(keyOf(side, work)) ?? []);
  const count = Math.min(...series.map((each) => each.length));
  return Array.from({ length: count }, (_, i) => {
    const parts = series.flatMap((each) => each[i] ?? []);
    return {
      ms: parts.reduce((sum, part) => sum + worth(part, measure), 0),
      clean: parts.every(
        ({ foreignShare }) => foreignShare === null || foreignShare <= foreignShareMax,
      ),
    };
  });
}

export function cleanOf(values: readonly Value[]): Value[] {
  return values.filter(({ clean }) => clean);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [
    sorted[(sorted.length - 1) >> 1] ?? Number.NaN,
    sorted[sorted.length >> 1] ?? Number.NaN,
  ];
  return (low + high) / 2;
}

/** All that was measured of one work. */
export function samplesOf(side: SideName, work: Work, samples: Samples): Sample[] {
  return samples.get(keyOf(side, work)) ?? [];
}

function worth({ ms, stages }: Sample, measure: Case["measure"]): number {
  const past = stages.tokenMs.slice(512);
  if (measure === "whole") return ms;
  if (measure === "first 512 tokens") return ms - past.reduce((sum, each) => sum + each, 0);
  return median(past.slice(0, -1)); // the last one's time ends with the answer's text
}

/** What the cases need of both sides, each work once; a case's sides stand next to each other. */
function worksOf(names: readonly CaseName[]): { side: SideName; work: Work }[] {
  const all = names.flatMap((name) => [
    ...cases[name].anchor.map((work) => ({ side: "anchor" as const, work })),
    { side: "ours" as const, work: cases[name].ours },
  ]);
  return [...new Map(all.map((each) => [keyOf(each.side, each.work), each])).values()];
}

function keyOf(side: SideName, work: Work): string {
  return `${side} ${JSON.stringify(work)}`;
}
