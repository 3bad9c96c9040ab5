import path from "node:path";
import type { Command } from "commander";
import { modelPlaces } from "../../adapters/model-folders.ts";
import type { TaskName } from "../../schema/task.ts";
import { visionTasks } from "../../schema/tasks.ts";
import { type Built, buildModel } from "../build-model.ts";
import { readModelConfig } from "../data-folder.ts";
import { usageError } from "../failure.ts";
import { modelAt } from "../model-at.ts";
import { picturesIn, samplesFolder } from "../pictures.ts";
import { parsePrecisions } from "../precisions.ts";
import { percent } from "../print.ts";
import { openProgress } from "../progress.ts";
import { onStop } from "../stop.ts";
import { taskWords, wordOf } from "../task-options.ts";
import { parseShare } from "./compare.ts";

interface BuildOptions {
  readonly out?: string;
  readonly precision: string;
  readonly base?: string;
  readonly id?: string;
  readonly revision?: string;
  readonly description?: string;
  readonly licence?: string;
  readonly tasks?: string;
  readonly images?: string;
  readonly reference?: string;
  readonly agreementMin?: number;
  readonly keepUnready?: true;
  readonly force?: true;
  readonly data?: string;
}

/** `vedere models build`: from a checkpoint to a model that is served. */
export function addBuild(models: Command): void {
  models
    .command("build")
    .description(
      `Builds a model from a checkpoint: a folder with config.json, tokenizer.json and model.safetensors, in either spelling, or with a LoRA adapter.

The model is then asked about images, and kept only if its answers are those of the same weights in fp32.`,
    )
    .argument("<checkpoint>", "the checkpoint's folder")
    .option("--out <dir>", "the model's folder (default: DATA/models/ID, where it is served from)")
    .option("--precision <name>", "fp32, fp16, int8 or q4; or graph=name,… for each graph", "fp32")
    .option("--base <dir>", "the folder of the model that a LoRA adapter was trained on")
    .option("--id <name>", "the model's name (default: the name of the folder)")
    .option("--revision <name>", "(default: the beginning of the sha256 of the weights)")
    .option("--description <text>", "what the model is for")
    .option("--licence <name>", "the weights' licence")
    .option(
      "--tasks <list>",
      `the tasks that it was trained for, of ${taskWords.join(",")} (default: all)`,
    )
    .option(
      "--images <dir>",
      "the images that it is tried on (default: the samples that come with Vedere)",
    )
    .option(
      "--reference <model>",
      "what it must agree with: a model's name, or its folder (with a slash), instead of its own weights in fp32",
    )
    .option(
      "--agreement-min <share>",
      "least share of tokens that agree (default: 0.999 for fp32, else 0.98)",
      parseShare,
    )
    .option("--keep-unready", "keep a model that agrees less; it is marked, and not served")
    .option("--force", "replace an older model")
    .option("--data <dir>", "the data folder (default: .vedere)")
    .action(build);
}

async function build(checkpoint: string, options: BuildOptions): Promise<void> {
  const config = readModelConfig({ dataDir: options.data });
  const id = options.id ?? path.basename(path.resolve(options.out ?? checkpoint));
  const target = path.resolve(options.out ?? path.join(modelPlaces(config).pulled, id));
  const { description = null, revision = null, licence = null } = options;
  const request = {
    source: {
      checkpoint: path.resolve(checkpoint),
      base: options.base === undefined ? null : path.resolve(options.base),
    },
    target,
    isForced: options.force === true,
    precisions: parsePrecisions(options.precision, "build"),
    about: {
      id,
      description,
      revision,
      licence,
      tasks: options.tasks === undefined ? null : tasksFrom(options.tasks),
    },
    proof: {
      pictures: await picturesIn(options.images ?? samplesFolder()),
      reference: options.reference === undefined ? null : await modelAt(options.reference, config),
      agreementMin: options.agreementMin ?? null,
    },
    keepsUnready: options.keepUnready === true,
  };
  const weights = openProgress((bytes) => `${(bytes / 1e6).toFixed(1)} MB`);
  const pictures = openProgress((count) => `${count} images`);
  const done = { bytes: 0, pictures: 0 };
  try {
    const built = await buildModel(request, {
      config,
      signal: onStop(() => {}),
      onWarning: (warning) => process.stderr.write(`warning: ${warning}\n`),
      onWeights: (bytes) => weights.begin(bytes),
      onBytes(bytes, file) {
        done.bytes += bytes;
        weights.update(done.bytes, file);
      },
      onPictures(count) {
        weights.stop();
        pictures.begin(count);
      },
      onPicture() {
        done.pictures += 1;
        pictures.update(done.pictures, "comparing answers");
      },
    });
    pictures.stop();
    weights.stop();
    process.stdout.write(outcomeOf(id, target, built));
    if (!built.isReady) process.exitCode = 1;
  } finally {
    pictures.stop();
    weights.stop();
  }
}

function outcomeOf(id: string, folder: string, { parity, isReady }: Built): string {
  const { tokenAgreement, exactAnswers, questions, images, reference } = parity;
  const figures = `${percent(tokenAgreement)} of the tokens and ${percent(exactAnswers)} of ${questions} answers about ${images} images agree with ${reference}`;
  return `${id} ${isReady ? "is ready" : "is kept, but not ready and not served"}: ${folder}\n${figures}.\n`;
}

/** Throws AppError INVALID. */
function tasksFrom(list: string): TaskName[] {
  return list.split(",").map((word) => {
    const task = visionTasks.find(({ name }) => wordOf(name) === word.trim());
    if (task) return task.name;
    throw usageError(`There is no task ${word.trim()}.`, `Use some of ${taskWords.join(",")}.`);
  });
}
