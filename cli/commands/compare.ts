import { type Command, InvalidArgumentError } from "commander";
import { comparedTasks } from "../../inference/compare/questions.ts";
import { comparedTasksFrom, comparePair, comparisonText } from "../compare-models.ts";
import { readModelConfig } from "../data-folder.ts";
import { modelAt } from "../model-at.ts";
import { picturesIn, samplesFolder } from "../pictures.ts";
import { openProgress } from "../progress.ts";
import { onStop } from "../stop.ts";
import { wordOf } from "../task-options.ts";

interface CompareOptions {
  readonly images?: string;
  readonly tasks?: string;
  readonly beams: number;
  readonly agreementMin?: number;
  readonly json?: true;
  readonly data?: string;
}

/** `vedere models compare`: whether two models answer the same, and how fast. */
export function addCompare(models: Command): void {
  models
    .command("compare")
    .description(
      "Asks two models the same about the same images, by turns: how far their answers agree, and how long they take.",
    )
    .argument("<first>", "a model's name, or its folder (with a slash: ./model)")
    .argument("<second>", "the other; the ratio of times is this one's by the first's")
    .option("--images <dir>", "a folder of images (default: the samples that come with Vedere)")
    .option("--tasks <list>", `some of ${comparedTasks.map(wordOf).join(",")} (default: all)`)
    .option("--beams <n>", "beams of the search; 1 is greedy", parsePositive, 1)
    .option(
      "--agreement-min <share>",
      "exit with 1 where fewer of the tokens agree, 0 to 1",
      parseShare,
    )
    .option("--json", "print one JSON object")
    .option("--data <dir>", "the data folder (default: .vedere)")
    .action(compare);
}

async function compare(
  firstPlace: string,
  secondPlace: string,
  options: CompareOptions,
): Promise<void> {
  const config = readModelConfig({ dataDir: options.data });
  const tasks = comparedTasksFrom(options.tasks);
  const pictures = await picturesIn(options.images ?? samplesFolder());
  const pair = {
    first: await modelAt(firstPlace, config),
    second: await modelAt(secondPlace, config),
  };
  const progress = openProgress(String);
  progress.begin(pictures.length);
  try {
    const comparison = await comparePair(pair, {
      config,
      pictures,
      tasks,
      beams: options.beams,
      onPicture: (done) => progress.update(done, pictures[done]?.name ?? ""),
      signal: onStop(() => {}),
    });
    progress.stop();
    process.stdout.write(
      options.json
        ? `${JSON.stringify({ ...pair, ...comparison }, null, 2)}\n`
        : comparisonText(pair, comparison),
    );
    if (comparison.agreement.tokenAgreement < (options.agreementMin ?? 0)) process.exitCode = 1;
  } finally {
    progress.stop();
  }
}

/** A number from 0 to 1. */
export function parseShare(text: string): number {
  const share = Number(text);
  if (text.trim() !== "" && share >= 0 && share <= 1) return share;
  throw new InvalidArgumentError("It is not a number from 0 to 1.");
}

function parsePositive(text: string): number {
  if (/^[1-9]\d{0,2}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It is not a whole number from 1.");
}
