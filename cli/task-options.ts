import type { TaskRequest } from "../inference/answer-tasks.ts";
import type { Box } from "../schema/geometry.ts";
import type { TaskName } from "../schema/task.ts";
import { visionTasks } from "../schema/tasks.ts";
import { usageError } from "./failure.ts";

/** What the command line says about the tasks; an absent option leaves the task's own default. */
export interface TaskOptions {
  readonly text?: string;
  readonly label?: readonly string[];
  readonly region?: Box;
  readonly detail?: string;
  readonly as?: string;
  readonly lines?: boolean;
  readonly grammar?: string;
}

interface Recipe {
  /** The options that mean something to this task. */
  readonly takes: readonly (keyof TaskOptions)[];
  /** At least one of these must be there. */
  readonly needs?: readonly (keyof TaskOptions)[];
  input(options: TaskOptions): Record<string, unknown>;
}

/** How each task's GraphQL input is made from options. */
const recipes: Readonly<Record<TaskName, Recipe>> = {
  CAPTION: { takes: ["detail"], input: ({ detail = "brief" }) => ({ detail: constant(detail) }) },
  DETECT_OBJECTS: { takes: ["label"], input: ({ label }) => (label ? { labels: label } : {}) },
  DESCRIBE_REGIONS: { takes: [], input: () => ({}) },
  PROPOSE_REGIONS: { takes: [], input: () => ({}) },
  GROUND_PHRASES: {
    takes: ["text"],
    input: ({ text }) => (text === undefined ? {} : { caption: text }),
  },
  READ_TEXT: { takes: ["lines"], input: ({ lines = false }) => ({ regions: lines }) },
  SEGMENT: {
    takes: ["text", "region"],
    needs: ["text", "region"],
    input: ({ text, region }) =>
      region ? { region: { ...region, unit: "PIXEL" } } : { expression: text },
  },
  DESCRIBE_REGION: {
    takes: ["region", "as"],
    needs: ["region"],
    input: ({ region, as = "description" }) => ({
      region: { ...region, unit: "PIXEL" },
      as: constant(as),
    }),
  },
  ASK: { takes: ["text"], needs: ["text"], input: ({ text }) => ({ question: text }) },
  PROMPT: {
    takes: ["text", "grammar"],
    needs: ["text"],
    input: ({ text, grammar = "text" }) => ({ text, grammar: constant(grammar) }),
  },
};

/** The task names of the command line: the fields of the API's TaskInput, written with hyphens. */
export const taskWords: readonly string[] = visionTasks.map((task) => wordOf(task.name));

/** A task as the command line calls it: DETECT_OBJECTS is detect-objects. */
export function wordOf(name: TaskName): string {
  return name.toLowerCase().replaceAll("_", "-");
}

/**
 * The tasks that were asked for, in that order. Throws AppError INVALID for what is missing or fits
 * none of them.
 */
export function tasksFrom(
  words: readonly string[],
  options: TaskOptions,
  generate: Readonly<Record<string, unknown>>,
): TaskRequest[] {
  const chosen = words.map((word) => {
    const task = visionTasks.find(({ name }) => wordOf(name) === word);
    if (!task) throw usageError(`There is no task ${word}.`, `Use one of ${taskWords.join(", ")}.`);
    return { name: task.name, recipe: recipes[task.name] };
  });
  for (const option of optionNames) {
    if (options[option] === undefined || chosen.some(({ recipe }) => recipe.takes.includes(option)))
      continue;
    const fitting = visionTasks
      .filter(({ name }) => recipes[name].takes.includes(option))
      .map(({ name }) => wordOf(name));
    throw usageError(
      `--${option} means nothing to ${words.join(", ")}.`,
      `Use it with --task ${fitting.join(" or ")}.`,
    );
  }
  return chosen.map(({ name, recipe }) => {
    const { needs } = recipe;
    if (needs?.every((option) => options[option] === undefined)) {
      throw usageError(
        `The task ${wordOf(name)} needs ${needs.map((option) => `--${option}`).join(" or ")}.`,
        "See `vedere analyze --help`.",
      );
    }
    return { name, input: { ...recipe.input(options), options: generate } };
  });
}

const optionNames = [
  "text",
  "label",
  "region",
  "detail",
  "as",
  "lines",
  "grammar",
] as const satisfies readonly (keyof TaskOptions)[];

function constant(word: string): string {
  return word.toUpperCase().replaceAll("-", "_");
}
