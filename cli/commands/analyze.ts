import { readFile } from "node:fs/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import { readConfig } from "../../adapters/config.ts";
import { AppError } from "../../core/errors.ts";
import { exactName } from "../../core/model-names.ts";
import type { Engine, ModelInfo } from "../../core/ports.ts";
import { answerTasks, type ImageAnswers, type TaskRequest } from "../../inference/answer-tasks.ts";
import { openEngine } from "../../inference/florence2/engine.ts";
import type { Box } from "../../schema/geometry.ts";
import type { GenerateOptions } from "../../schema/task.ts";
import { planPictures, writePicture } from "../annotated-files.ts";
import { report } from "../failure.ts";
import { findModel, openLocalModels } from "../local-models.ts";
import { outcomeText } from "../print.ts";
import { openProgress } from "../progress.ts";
import { onStop } from "../stop.ts";
import { type TaskOptions, tasksFrom, taskWords, wordOf } from "../task-options.ts";

interface AnalyzeOptions extends TaskOptions, Omit<GenerateOptions, "noRepeatNgramSize"> {
  readonly ngramSize?: number;
  readonly task?: readonly string[];
  readonly json?: true;
  readonly out?: string;
  readonly model?: string;
  readonly data?: string;
}

/** `vedere analyze`: answers tasks about image files in this process. */
export function addAnalyze(program: Command, context: { debug: () => boolean }): void {
  program
    .command("analyze")
    .summary("answer tasks about images, without a server")
    .description(
      `Answers tasks about image files in this process, without a server. An image is encoded once for all tasks.\n\nTasks: ${taskWords.join(", ")}.`,
    )
    .argument("<image...>", "JPEG, PNG, WebP or GIF files")
    .option(
      "-t, --task <name>",
      "what to ask; repeat it for more (default: caption, detect-objects)",
      collect,
    )
    .option("--text <text>", "the caption to ground, what to segment, the question or the prompt")
    .option("--label <name>", "detect-objects: what to look for; repeat it for more", collect)
    .option("--region <x0,y0,x1,y1>", "segment, describe-region: a box in pixels", parseRegion)
    .addOption(
      new Option("--detail <how>", "caption: how much of it").choices([
        "brief",
        "detailed",
        "more-detailed",
      ]),
    )
    .addOption(
      new Option("--as <what>", "describe-region: what to say").choices([
        "category",
        "description",
        "text",
      ]),
    )
    .option("--lines", "read-text: every line with its corners (implied by --out)")
    .addOption(
      new Option("--grammar <form>", "prompt: how to read the answer").choices([
        "text",
        "boxes",
        "quads",
        "polygons",
      ]),
    )
    .option("--beams <n>", "beam search width, 1 to 8; 1 is greedy search", parseNumber)
    .option("--max-tokens <n>", "longest answer, 1 to 1024", parseNumber)
    .option(
      "--ngram-size <n>",
      "no run of this many tokens twice in an answer; 0 allows repetition",
      parseNumber,
    )
    .option("--length-penalty <x>", "above 1 favours long answers, below 1 short ones", parseNumber)
    .option("--json", "print one JSON object per line and image, with the result types of the API")
    .option(
      "-o, --out <png>",
      "draw boxes, outlines and labels on the image; with several images, a folder",
    )
    .option("--model <name>", "an id, id@revision or alias of `vedere models list`")
    .option("--data <dir>", "the data folder with pulled models (default: .vedere)")
    .action(async (images: string[], options: AnalyzeOptions) => {
      process.exitCode = await analyze(images, options, context.debug());
    });
}

async function analyze(
  images: readonly string[],
  options: AnalyzeOptions,
  debug: boolean,
): Promise<number> {
  const config = readConfig(undefined, { dataDir: options.data, model: options.model });
  const tasks = chooseTasks(options);
  const pictures = await planPictures(images, options.out ?? null);
  const models = await openLocalModels(config);
  const model = await findModel(models, config.model);
  refuseUnsupported(tasks, model);
  const signal = onStop(() => {});
  const engine = openEngine({
    models,
    executionProviders: config.executionProviders,
    threads: config.threads,
  });
  const progress = openProgress(String);
  let exitCode = 0;
  progress.begin(images.length);
  try {
    for (const [i, image] of images.entries()) {
      progress.update(i, image);
      try {
        const analyzed = await analyzeImage(
          engine,
          { image, model, tasks, picture: pictures[i] ?? null },
          signal,
        );
        progress.around(() =>
          process.stdout.write(options.json ? jsonLine(analyzed) : textOf(analyzed)),
        );
        if (analyzed.answers.outcomes.some((outcome) => outcome.error)) exitCode = 1;
      } catch (error) {
        if (signal.aborted || (error instanceof AppError && error.code === "MODEL_UNAVAILABLE"))
          throw error;
        exitCode = 1;
        progress.around(() => report(error, { debug }));
      }
    }
  } finally {
    progress.stop();
    await engine.close();
  }
  return exitCode;
}

interface Analyzed {
  readonly image: string;
  readonly model: ModelInfo;
  readonly tasks: readonly TaskRequest[];
  /** Where the annotated picture goes, if anywhere. */
  readonly picture: string | null;
  readonly answers: ImageAnswers;
}

async function analyzeImage(
  engine: Engine,
  work: Omit<Analyzed, "answers">,
  signal: AbortSignal,
): Promise<Analyzed> {
  const bytes = await readFile(work.image);
  const answers = await answerTasks(
    engine,
    { model: exactName(work.model), bytes, tasks: work.tasks },
    signal,
  );
  if (work.picture && answers.size) {
    await writePicture(
      work.picture,
      bytes,
      answers.outcomes.flatMap(({ result }) => result ?? []),
    );
  }
  return { ...work, answers };
}

function chooseTasks(options: AnalyzeOptions): TaskRequest[] {
  const {
    task = ["caption", "detect-objects"],
    beams,
    maxTokens,
    ngramSize,
    lengthPenalty,
  } = options;
  const lines =
    options.lines ?? (options.out !== undefined && task.includes("read-text") ? true : undefined);
  return tasksFrom(
    task,
    { ...options, ...(lines ? { lines } : {}) },
    { beams, maxTokens, noRepeatNgramSize: ngramSize, lengthPenalty },
  );
}

function refuseUnsupported(tasks: readonly TaskRequest[], model: ModelInfo): void {
  const unable = tasks.find(({ name }) => !model.tasks.includes(name));
  if (!unable) return;
  throw new AppError(
    "TASK_UNSUPPORTED",
    `The model ${model.id} cannot do ${wordOf(unable.name)}.`,
    {
      fix: `It can do ${model.tasks.map(wordOf).join(", ")}; other models may do more: \`vedere models list\`.`,
    },
  );
}

function textOf({ image, model, tasks, picture, answers }: Analyzed): string {
  const { size, imageTimings, outcomes } = answers;
  if (!size) return `${image}  failed: ${outcomes[0]?.error?.message ?? "unreadable"}\n\n`;
  const taskMs = Math.max(
    ...outcomes.map((outcome) =>
      outcome.error ? 0 : outcome.timings.encodeMs + outcome.timings.generateMs,
    ),
  );
  const ms =
    taskMs +
    (imageTimings ? imageTimings.decodeMs + imageTimings.pixelsMs + imageTimings.visionMs : 0);
  const heading = `${image}  ${size.width}×${size.height}  ${model.id}  ${Math.round(ms)} ms${picture ? `  → ${picture}` : ""}\n`;
  return `${heading}${tasks.map((task, i) => (outcomes[i] ? outcomeText(task, outcomes[i]) : "")).join("")}\n`;
}

function jsonLine({ image, model, tasks, answers }: Analyzed): string {
  const { size, imageTimings, outcomes } = answers;
  const answered = tasks.map(({ name }, i) => ({ name, ...outcomes[i] }));
  const { width, height } = size ?? { width: null, height: null };
  return `${JSON.stringify({ image, width, height, model: model.id, timings: imageTimings, tasks: answered })}\n`;
}

function collect(value: string, earlier: readonly string[] = []): string[] {
  return [...earlier, value];
}

function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || Number.isNaN(value))
    throw new InvalidArgumentError("It is not a number.");
  return value;
}

function parseRegion(text: string): Box {
  const [x0, y0, x1, y1, ...more] = text.split(",").map(parseNumber);
  if (
    x0 === undefined ||
    y0 === undefined ||
    x1 === undefined ||
    y1 === undefined ||
    more.length > 0
  ) {
    throw new InvalidArgumentError("Give four numbers: x0,y0,x1,y1.");
  }
  return { x0, y0, x1, y1 };
}
