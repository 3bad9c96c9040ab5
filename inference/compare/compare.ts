import type { TaskName } from "../../schema/task.ts";
import { type Agreement, agreementOf } from "./agreement.ts";
import { type Interview, type Observation, observe, type Party, type Picture } from "./observe.ts";

export interface Comparison {
  readonly agreement: Agreement;
  readonly tasks: readonly { readonly task: TaskName; readonly agreement: Agreement }[];
  readonly times: { readonly see: Times; readonly answer: Times };
}

/**
 * Medians over the pictures of what the first and the second model took; the ratio is the median of
 * second ÷ first, picture by picture.
 */
export interface Times {
  readonly firstMs: number;
  readonly secondMs: number;
  readonly ratio: number;
}

export interface ComparisonRun extends Interview {
  /** Hears how many pictures both have seen. */
  readonly onPicture: (done: number) => void;
  readonly signal: AbortSignal | undefined;
}

/**
 * Shows the same pictures to two models, taking turns, so that whatever else the machine does slows
 * both. Each sees the first picture once before the clock counts. Throws as `observe` does.
 */
export async function compareModels(
  parties: readonly [Party, Party],
  pictures: readonly Picture[],
  run: ComparisonRun,
): Promise<Comparison> {
  const [first, second]: [Observation[], Observation[]] = [[], []];
  for (const picture of pictures.slice(0, 1))
    for (const party of parties) await observe(party, picture, run);
  for (const [i, picture] of pictures.entries()) {
    const hear = async (party: Party, into: Observation[]) =>
      into.push(await observe(party, picture, run));
    const turns = [() => hear(parties[0], first), () => hear(parties[1], second)];
    for (const turn of i % 2 === 0 ? turns : turns.reverse()) await turn();
    run.onPicture(i + 1);
  }
  const tasks = [...new Set(run.questions.map(({ task }) => task))];
  return {
    agreement: agreementOf(first, second),
    tasks: tasks.map((task) => ({
      task,
      agreement: agreementOf(only(task, first), only(task, second)),
    })),
    times: { see: timesOf(first, second, "seeMs"), answer: timesOf(first, second, "answerMs") },
  };
}

function only(task: TaskName, observations: readonly Observation[]): Observation[] {
  return observations.map((one) => ({
    ...one,
    answers: one.answers.filter((answer) => answer.task === task),
  }));
}

function timesOf(
  first: readonly Observation[],
  second: readonly Observation[],
  time: "seeMs" | "answerMs",
): Times {
  const ratios = first.map((one, i) => (second[i]?.[time] ?? Number.NaN) / one[time]);
  return {
    firstMs: median(first.map((one) => one[time])),
    secondMs: median(second.map((one) => one[time])),
    ratio: median(ratios),
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const [lower, upper] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return ((lower ?? Number.NaN) + (upper ?? Number.NaN)) / 2;
}
