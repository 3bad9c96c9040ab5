import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { openModels } from "../adapters/model-folders.ts";
import { packageRoot } from "../adapters/package-root.ts";
import type { Engine } from "../core/ports.ts";
import { openEngine } from "../inference/florence2/engine.ts";
import type { LocationGroup } from "../schema/task.ts";
import { figuresOf } from "./metrics.ts";

/**
 * Scores a model folder through the engine on the held-out set; with --answers, also how often the
 * answers of evaluate.py are the same.
 */
const { values: options } = parseArgs({
  options: {
    model: { type: "string", default: join(packageRoot(), "models/florence-2-nano") },
    beams: { type: "string", default: "1" },
    answers: { type: "string" },
  },
});
const folder = join(packageRoot(), "models/evaluation");

interface Question {
  readonly image: string;
  readonly task: string;
  readonly prompt: string;
  readonly answer: string;
  readonly given?: string;
}

/** What the tasks of the API say of the answers to the same prompts. */
const locationGroups: Readonly<Record<string, LocationGroup>> = {
  OD: 4,
  DENSE_REGION_CAPTION: 4,
  REGION_PROPOSAL: 4,
  CAPTION_TO_PHRASE_GROUNDING: 4,
  OPEN_VOCABULARY_DETECTION: 2,
  REFERRING_EXPRESSION_SEGMENTATION: 2,
  REGION_TO_SEGMENTATION: 2,
  REGION_TO_CATEGORY: 4,
  REGION_TO_DESCRIPTION: 4,
  OCR_WITH_REGION: 8,
  REGION_TO_OCR: 4,
};

function readQuestions(file: string): Question[] {
  const lines = readFileSync(file, "utf8").trim().split("\n");
  return lines.map((line) => JSON.parse(line) as Question);
}

/** Map.groupBy came with Node 21. */
function groupBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

async function answerAll(
  engine: Engine,
  model: string,
  questions: readonly Question[],
): Promise<string[]> {
  const given = new Map<Question, string>();
  for (const [image, asked] of groupBy(questions, (question) => question.image)) {
    const [sight] = await engine.see(model, [readFileSync(join(folder, image))]);
    if (!sight || sight instanceof Error) throw sight ?? new Error(`no features of ${image}`);
    const settings = { beams: Number(options.beams), maxTokens: 128, noRepeatNgramSize: 0 };
    const answers = await engine.answer(
      model,
      asked.map(({ task, prompt }) => ({
        sight,
        prompt,
        locationGroup: locationGroups[task] ?? null,
        options: settings,
      })),
    );
    for (const [i, question] of asked.entries()) given.set(question, answers[i]?.text ?? "");
  }
  return questions.map((question) => given.get(question) ?? "");
}

const wish = { precisions: null, executionProvider: "cpu" };
const places = {
  embedded: options.model,
  pulled: join(dirname(options.model), "no-others"),
  chosen: null,
  wish,
};
const models = openModels(places, async () => []);
const engine = openEngine({ models });
const questions = readQuestions(join(folder, "tasks.jsonl"));
const given = await answerAll(engine, (await models.list())[0]?.id ?? "", questions);
await engine.close();

const pairs = questions.map((question, i) => ({
  task: question.task,
  wanted: question.answer,
  given: given[i] ?? "",
}));
for (const [task, ofTask] of groupBy(pairs, (pair) => pair.task)) {
  const figures = Object.entries(figuresOf(task, ofTask)).map(
    ([name, value]) => `${name} ${value.toFixed(3)}`,
  );
  console.log(task.padEnd(34) + figures.join("  "));
}
if (options.answers) {
  const theirs = readQuestions(options.answers);
  const same = theirs.filter((answer, i) => answer.given === given[i]).length;
  console.log(
    `\n${same} of ${theirs.length} answers are those of evaluate.py, character by character`,
  );
}
