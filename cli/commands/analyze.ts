import { type Command, InvalidArgumentError, Option } from "commander";
import { AppError } from "../../core/errors.ts";
import type { ModelInfo } from "../../core/ports.ts";
import type { TaskRequest } from "../../inference/answer-tasks.ts";
import { openEngine } from "../../inference/florence2/engine.ts";
import type { Box } from "../../schema/geometry.ts";
import type { GenerateOptions } from "../../schema/task.ts";
import { analyzeFiles } from "../analyze-files.ts";
import { planPictures } from "../annotated-files.ts";
import { readModelConfig } from "../data-folder.ts";
import { imageFiles } from "../image-files.ts";
import { findModel, openLocalModels } from "../local-models.ts";
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
      `Answers tasks about image files in this process, without a server. An image is encoded once for all tasks. Of a folder it takes the images directly in it and skips all else. Results go to stdout; a line for each image that failed, and a summary at the end, to stderr. Exits 1 if any failed.\n\nTasks: ${taskWords.join(", ")}.`,
    )
    .argument("<image...>", "JPEG, PNG, WebP or GIF files, and folders of them")
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
  const config = readModelConfig({ dataDir: options.data, model: options.model });
  const tasks = chooseTasks(options);
  const signal = onStop(() => {});
  const { files, skipped } = await imageFiles(images);
  const pictures = await planPictures(files, options.out ?? null);
  const models = await openLocalModels(config);
  const model = await findModel(models, config.model);
  refuseUnsupported(tasks, model);
  const engine = openEngine({
    models,
    executionProviders: config.executionProviders,
    threads: config.threads,
  });
  try {
    const work = { model, tasks, files, pictures, skipped };
    return await analyzeFiles(engine, work, { isJson: options.json === true, debug, signal });
  } finally {
    await engine.close();
  }
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
