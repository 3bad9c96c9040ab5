import type { Config } from "../adapters/config.ts";
import type { ModelInfo } from "../core/ports.ts";
import type { Agreement } from "../inference/compare/agreement.ts";
import { type Comparison, compareModels, type Times } from "../inference/compare/compare.ts";
import { interviewOptions, type Picture } from "../inference/compare/observe.ts";
import { commonQuestions, comparedTasks } from "../inference/compare/questions.ts";
import type { TaskName } from "../schema/task.ts";
import { usageError } from "./failure.ts";
import { engineFor } from "./model-at.ts";
import { alignColumns } from "./print.ts";
import { wordOf } from "./task-options.ts";

export interface ModelPair {
  readonly first: ModelInfo;
  readonly second: ModelInfo;
}

/**
 * Runs both models over the pictures, side by side. Throws AppError: of the pictures, of the
 * models, CANCELED.
 */
export async function comparePair(
  { first, second }: ModelPair,
  run: {
    readonly config: Config;
    readonly pictures: readonly Picture[];
    readonly tasks: readonly TaskName[];
    readonly beams: number;
    readonly onPicture: (done: number) => void;
    readonly signal: AbortSignal;
  },
): Promise<Comparison> {
  const engines = [engineFor(first, run.config), engineFor(second, run.config)] as const; // two, for both may have the same id
  try {
    const parties = [
      { engine: engines[0], model: first.id },
      { engine: engines[1], model: second.id },
    ] as const;
    const interview = {
      questions: commonQuestions(run.tasks),
      options: { ...interviewOptions, beams: run.beams },
    };
    return await compareModels(parties, run.pictures, {
      ...interview,
      onPicture: run.onPicture,
      signal: run.signal,
    });
  } finally {
    await Promise.all(engines.map((engine) => engine.close()));
  }
}

/** The tasks of the command line's list, all where it is absent. Throws AppError INVALID. */
export function comparedTasksFrom(list: string | undefined): readonly TaskName[] {
  if (list === undefined) return comparedTasks;
  return list.split(",").map((word) => {
    const task = comparedTasks.find((name) => wordOf(name) === word.trim());
    if (task) return task;
    throw usageError(
      `Models cannot be compared by ${word.trim()}.`,
      `Use some of ${comparedTasks.map(wordOf).join(",")}.`,
    );
  });
}

/** A comparison as tables. */
export function comparisonText(
  { first, second }: ModelPair,
  { agreement, tasks, times }: Comparison,
): string {
  const rows = [
    ...tasks.map(({ task, agreement }) => agreementRow(wordOf(task), agreement)),
    agreementRow("all", agreement),
  ];
  const names = [nameOf(first), nameOf(second)];
  return [
    `${names.join(" and ")}, ${agreement.images} images\n`,
    alignColumns([["task", "questions", "tokens agree", "same answer", "box IoU"], ...rows]),
    `image features differ by ${agreement.featureError === null ? "their shape" : agreement.featureError.toExponential(1)}\n\n`,
    alignColumns([
      ["median time", ...names, "ratio"],
      timesRow("an image", times.see),
      timesRow("its questions", times.answer),
    ]),
  ].join("");
}

function nameOf({ id, revision, precision }: ModelInfo): string {
  return `${id}@${revision} (${precision})`;
}

function agreementRow(
  name: string,
  { questions, tokenAgreement, exactAnswers, boxIou }: Agreement,
): string[] {
  return [
    name,
    String(questions),
    tokenAgreement.toFixed(4),
    exactAnswers.toFixed(4),
    boxIou === null ? "" : boxIou.toFixed(4),
  ];
}

function timesRow(name: string, { firstMs, secondMs, ratio }: Times): string[] {
  return [name, `${firstMs.toFixed(1)} ms`, `${secondMs.toFixed(1)} ms`, ratio.toFixed(2)];
}
