import { describe, expect, test } from "vitest";
import { certain } from "./answer.ts";
import { taskOf } from "./samples.ts";

const size = { width: 640, height: 480 };
const region = { x0: 33.6, y0: 159.6, x1: 596.8, y1: 371.76, unit: "PIXEL" };
const tokens = "<loc_52><loc_332><loc_932><loc_774>";

const questions: readonly [field: string, input: Record<string, unknown>, prompt: string][] = [
  ["caption", { detail: "BRIEF" }, "What does the image describe?"],
  ["caption", { detail: "DETAILED" }, "Describe in detail what is shown in the image."],
  ["caption", { detail: "MORE_DETAILED" }, "Describe with a paragraph what is shown in the image."],
  ["detectObjects", {}, "Locate the objects with category name in the image."],
  ["detectObjects", { labels: null }, "Locate the objects with category name in the image."],
  ["detectObjects", { labels: ["cat"] }, "Locate cat in the image."],
  [
    "detectObjects",
    { labels: ["cat", "a green car", "dog"] },
    "Locate cat <and> a green car <and> dog in the image.",
  ],
  ["describeRegions", {}, "Locate the objects in the image, with their descriptions."],
  ["proposeRegions", {}, "Locate the region proposals in the image."],
  ["groundPhrases", { caption: "A cat." }, "Locate the phrases in the caption: A cat."],
  ["readText", { regions: false }, "What is the text in the image?"],
  ["readText", { regions: true }, "What is the text in the image, with regions?"],
  ["segment", { expression: "the red car" }, "Locate the red car in the image with mask"],
  ["segment", { region }, `What is the polygon mask of region ${tokens}`],
  ["describeRegion", { region, as: "CATEGORY" }, `What is the region ${tokens}?`],
  ["describeRegion", { region, as: "DESCRIPTION" }, `What does the region ${tokens} describe?`],
  ["describeRegion", { region, as: "TEXT" }, `What text is in the region ${tokens}?`],
  ["ask", { question: "How many?" }, "How many?"],
  ["prompt", { text: "<MedVQA> <loc_5>", grammar: "TEXT" }, "<MedVQA> <loc_5>"],
];

test.each(questions)(
  "%s %j asks the model's own sentence, without preparation",
  (field, input, prompt) => {
    expect(taskOf(field).prepare(input)).toBeNull();
    expect(taskOf(field).ask(input, size, null).prompt).toBe(prompt);
  },
);

test("a region asks the same in pixels and normalized, and comes back in pixels inside the image", () => {
  const normalized = { x0: 0.0525, y0: 0.3325, x1: 1 + 1e-7, y1: 0.7745, unit: "NORMALIZED" };
  const question = taskOf("describeRegion").ask({ region: normalized, as: "CATEGORY" }, size, null);
  expect(question.prompt).toBe("What is the region <loc_52><loc_332><loc_999><loc_774>?");
  const { result } = question.read(certain("car"), size);
  expect(result).toMatchObject({ text: "car", as: "CATEGORY", region: { x0: 33.6, x1: 640 } });
});

describe("grounding without a caption", () => {
  const task = taskOf("groundPhrases");

  test.each([{}, { caption: null }])("%j asks for the model's brief caption first", (input) => {
    const prepare = task.prepare(input);
    expect(prepare?.prompt).toBe("What does the image describe?");
    expect(prepare?.read(certain("A cat."), size).result).toEqual({
      type: "CaptionResult",
      text: "A cat.",
      score: 1,
    });
  });

  test("grounds the caption that came back, without what is no word in it", () => {
    const question = task.ask({}, size, " A cat.<loc_5>\n");
    expect(question.prompt).toBe("Locate the phrases in the caption: A cat.");
    expect(question.read(certain(""), size).result).toEqual({
      type: "GroundingResult",
      caption: "A cat.",
      phrases: [],
    });
  });

  test("is not asked before the caption is there", () => {
    expect(() => task.ask({}, size, null)).toThrow(/preparatory question/);
  });
});

describe("a grounded phrase's place in the caption", () => {
  const box = "<loc_1><loc_2><loc_3><loc_4>";
  test.each([
    ["a cat and a dog", ["a dog", "a cat"], ["10-15", "0-5"]],
    ["a dog and a dog", ["a dog", "a dog", "a dog"], ["0-5", "10-15", "null-null"]],
    ["a woman and a man", ["man", "a woman"], ["14-17", "0-7"]],
    ["a red car", ["a red car", "red car"], ["0-9", "null-null"]],
    ["A cat", ["a cat", "it"], ["null-null", "null-null"]],
    ["un café, naïve", ["café", "naïve", "na"], ["3-7", "9-14", "null-null"]],
    ["一只猫和狗", ["猫"], ["2-3"]],
    ["a (very) odd+cat", ["(very)", "odd"], ["2-8", "9-12"]],
  ])("%j: %j stand at %j", (caption, phrases, places) => {
    const answer = certain(phrases.map((phrase) => phrase + box).join(""));
    const { result } = taskOf("groundPhrases").ask({ caption }, size, null).read(answer, size);
    if (result.type !== "GroundingResult") throw new Error(result.type);
    expect(result.phrases.map(({ text }) => text)).toEqual(phrases);
    expect(result.phrases.map(({ start, end }) => `${start}-${end}`)).toEqual(places);
  });

  test("is null where the model gave boxes without words", () => {
    const { result } = taskOf("groundPhrases")
      .ask({ caption: "a cat" }, size, null)
      .read(certain(box), size);
    expect(result).toMatchObject({ phrases: [{ text: "", start: null, end: null }] });
  });
});
