import { type CatalogueTask, taskByField } from "../../../schema/tasks.ts";

/** One sound input of every task, by the field of TaskInput, as a client would write it. */
export const sampleInputs: Readonly<Record<string, Record<string, unknown>>> = {
  caption: { detail: "BRIEF" },
  detectObjects: { labels: ["cat", "dog"] },
  describeRegions: {},
  proposeRegions: {},
  groundPhrases: { caption: "a cat and a dog" },
  readText: { regions: true },
  segment: { expression: "the cat on the left" },
  describeRegion: { region: { x0: 1, y0: 2, x1: 30, y1: 40, unit: "PIXEL" }, as: "DESCRIPTION" },
  ask: { question: "How many cats?" },
  prompt: { text: "<MedVQA>What is seen?", grammar: "BOXES" },
};

export function taskOf(field: string): CatalogueTask {
  const task = taskByField(field);
  if (!task) throw new Error(`There is no task behind ${field}.`);
  return task;
}
