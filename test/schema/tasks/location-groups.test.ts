import { expect, test } from "vitest";
import type { Question, TaskName } from "../../../schema/task.ts";
import { taskByName } from "../../../schema/tasks.ts";

const size = { width: 640, height: 480 };

function ask(name: TaskName, input: Readonly<Record<string, unknown>>): Question {
  return taskByName(name).ask(input, size, null);
}

test.each<[TaskName, Readonly<Record<string, unknown>>, number | null]>([
  ["CAPTION", { detail: "BRIEF" }, null],
  ["ASK", { question: "How many?" }, null],
  ["READ_TEXT", { regions: false }, null],
  ["READ_TEXT", { regions: true }, 8],
  ["DETECT_OBJECTS", {}, 4],
  ["DETECT_OBJECTS", { labels: ["cat"] }, 2], // boxes or polygons
  ["DESCRIBE_REGIONS", {}, 4],
  ["PROPOSE_REGIONS", {}, 4],
  ["GROUND_PHRASES", { caption: "a cat" }, 4],
  ["SEGMENT", { expression: "the cat" }, 2],
  ["DESCRIBE_REGION", { region: { x0: 1, y0: 1, x1: 9, y1: 9, unit: "PIXEL" }, as: "TEXT" }, 4],
  ["PROMPT", { text: "Say.", grammar: "TEXT" }, null],
  ["PROMPT", { text: "Say.", grammar: "BOXES" }, 2],
  ["PROMPT", { text: "Say.", grammar: "QUADS" }, 8],
  ["PROMPT", { text: "Say.", grammar: "POLYGONS" }, 2],
])(
  "the locations of an answer to %s %j come in groups as its grammar reads them: %s",
  (name, input, group) => {
    expect(ask(name, input).locationGroup).toBe(group);
  },
);
