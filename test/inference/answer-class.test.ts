import { expect, test } from "vitest";
import type { SightPrompt } from "../../core/ports.ts";
import { answerClass } from "../../inference/answer-class.ts";
import { taskByName } from "../../schema/tasks.ts";

const size = { width: 100, height: 100 };
const sight = {
  model: "m",
  size,
  timings: { decodeMs: 0, pixelsMs: 0, visionMs: 0 },
  features: new Float32Array(),
};
const region = { x0: 1, y0: 1, x1: 9, y1: 9, unit: "PIXEL" };

function promptOf(
  name: Parameters<typeof taskByName>[0],
  input: Record<string, unknown>,
  options: SightPrompt["options"] = {},
): SightPrompt {
  const { prompt, locationGroup } = taskByName(name).ask(input, size, "a box");
  return { sight, prompt, locationGroup, options };
}

test.each([
  ["CAPTION", { detail: "BRIEF" }, "short"],
  ["CAPTION", { detail: "DETAILED" }, "long"],
  ["CAPTION", { detail: "MORE_DETAILED" }, "long"],
  ["DETECT_OBJECTS", {}, "located"],
  ["DETECT_OBJECTS", { labels: ["cat"] }, "located"],
  ["DESCRIBE_REGIONS", {}, "located"],
  ["PROPOSE_REGIONS", {}, "located"],
  ["GROUND_PHRASES", { caption: "a cat" }, "located"],
  ["READ_TEXT", { regions: false }, "long"],
  ["READ_TEXT", { regions: true }, "located"],
  ["SEGMENT", { text: "cat" }, "located"],
  ["SEGMENT", { region }, "located"],
  ["DESCRIBE_REGION", { region, as: "CATEGORY" }, "short"],
  ["DESCRIBE_REGION", { region, as: "DESCRIPTION" }, "short"],
  ["DESCRIBE_REGION", { region, as: "TEXT" }, "short"],
  ["ASK", { question: "What color is it?" }, "short"],
] as const)("the answer to %s %o is %s", (name, input, expected) => {
  expect(answerClass([promptOf(name, input)])).toBe(expected);
});

test("an answer that is cut early is short", () => {
  expect(answerClass([promptOf("READ_TEXT", { regions: false }, { maxTokens: 5 })])).toBe("short");
});

test("questions of several classes count with the long ones", () => {
  const [brief, objects] = [
    promptOf("CAPTION", { detail: "BRIEF" }),
    promptOf("DETECT_OBJECTS", {}),
  ];
  expect(answerClass([brief, objects])).toBe("long");
  expect(answerClass([objects, objects])).toBe("located");
});
