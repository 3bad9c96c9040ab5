import { expect, test } from "vitest";
import { type TaskOptions, tasksFrom, taskWords } from "../../cli/task-options.ts";
import { visionTasks } from "../../schema/tasks.ts";

const region = { x0: 1, y0: 2, x1: 30, y1: 40 };
const full: Readonly<Record<string, TaskOptions>> = {
  segment: { text: "the car" },
  "describe-region": { region },
  ask: { text: "how many?" },
  prompt: { text: "<OD>" },
};

test.each(taskWords)("%s makes an input that the task itself accepts", (word) => {
  const [task] = tasksFrom([word], full[word] ?? {}, {});
  const vision = visionTasks.find(({ name }) => name === task?.name);
  expect(vision?.check({ ...task?.input }, { width: 100, height: 100 })).toBeNull();
});

test("options reach the inputs under the names of the API", () => {
  const tasks = tasksFrom(
    [
      "caption",
      "detect-objects",
      "ground-phrases",
      "read-text",
      "segment",
      "describe-region",
      "ask",
      "prompt",
    ],
    {
      text: "words",
      label: ["cat", "dog"],
      region,
      detail: "more-detailed",
      as: "category",
      lines: true,
      grammar: "boxes",
    },
    { beams: 1 },
  );
  const options = { beams: 1 };
  const pixels = { ...region, unit: "PIXEL" };
  expect(tasks).toEqual([
    { name: "CAPTION", input: { detail: "MORE_DETAILED", options } },
    { name: "DETECT_OBJECTS", input: { labels: ["cat", "dog"], options } },
    { name: "GROUND_PHRASES", input: { caption: "words", options } },
    { name: "READ_TEXT", input: { regions: true, options } },
    { name: "SEGMENT", input: { region: pixels, options } },
    { name: "DESCRIBE_REGION", input: { region: pixels, as: "CATEGORY", options } },
    { name: "ASK", input: { question: "words", options } },
    { name: "PROMPT", input: { text: "words", grammar: "BOXES", options } },
  ]);
});

test.each<[string, string[], TaskOptions, RegExp]>([
  ["an unknown task", ["colour"], {}, /no task colour/],
  ["a task that lacks what it needs", ["ask"], {}, /ask needs --text/],
  [
    "a task that needs one of two and has neither",
    ["segment"],
    {},
    /segment needs --text or --region/,
  ],
  [
    "an option that means nothing to any of the tasks",
    ["caption"],
    { label: ["cat"] },
    /--label means nothing to caption/,
  ],
])("%s is wrong usage", (_, words, options, message) => {
  expect(() => tasksFrom(words, options, {})).toThrow(message);
});
