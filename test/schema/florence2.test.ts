import fc from "fast-check";
import { describe, expect, expectTypeOf, test } from "vitest";
import {
  classSeparator,
  type PromptSlots,
  parseAnswer,
  promptFor,
  type TaskToken,
} from "../../schema/florence2.ts";
import { imageSize, rawText } from "./answers/raw-text.ts";

const size = { width: 640, height: 480 };
const region = { x0: 33.6, y0: 159.6, x1: 596.8, y1: 371.76 };
const tokens = "<loc_52><loc_332><loc_932><loc_774>";

const prompts: readonly [TaskToken, PromptSlots, string][] = [
  ["<CAPTION>", {}, "What does the image describe?"],
  ["<DETAILED_CAPTION>", {}, "Describe in detail what is shown in the image."],
  ["<MORE_DETAILED_CAPTION>", {}, "Describe with a paragraph what is shown in the image."],
  ["<OD>", {}, "Locate the objects with category name in the image."],
  ["<DENSE_REGION_CAPTION>", {}, "Locate the objects in the image, with their descriptions."],
  ["<REGION_PROPOSAL>", {}, "Locate the region proposals in the image."],
  ["<OCR>", {}, "What is the text in the image?"],
  ["<OCR_WITH_REGION>", { size }, "What is the text in the image, with regions?"],
  [
    "<CAPTION_TO_PHRASE_GROUNDING>",
    { text: "A car." },
    "Locate the phrases in the caption: A car.",
  ],
  [
    "<REFERRING_EXPRESSION_SEGMENTATION>",
    { text: "a $& car" },
    "Locate a $& car in the image with mask",
  ],
  ["<OPEN_VOCABULARY_DETECTION>", { text: "cat" }, "Locate cat in the image."],
  [
    "<OPEN_VOCABULARY_DETECTION>",
    { text: ["cat", "dog"].join(classSeparator) },
    "Locate cat <and> dog in the image.",
  ],
  ["<VQA>", { text: "How many cars?" }, "How many cars?"],
  ["<REGION_TO_SEGMENTATION>", { region, size }, `What is the polygon mask of region ${tokens}`],
  ["<REGION_TO_CATEGORY>", { region, size }, `What is the region ${tokens}?`],
  ["<REGION_TO_DESCRIPTION>", { region, size }, `What does the region ${tokens} describe?`],
  ["<REGION_TO_OCR>", { region, size }, `What text is in the region ${tokens}?`],
];
const taskTokens = [...new Set(prompts.map(([task]) => task))];

describe("promptFor", () => {
  test.each(prompts)(
    "%s with %j asks the sentence the model was trained on",
    (task, slots, prompt) => {
      expect(promptFor(task, slots)).toBe(prompt);
    },
  );

  test.each<[TaskToken, PromptSlots]>([
    ["<CAPTION>", { text: "a car" }],
    ["<OD>", { region, size }],
    ["<OPEN_VOCABULARY_DETECTION>", {}],
    ["<VQA>", { text: "What is it?", region, size }],
    ["<REGION_TO_OCR>", { region }],
    ["<REGION_TO_OCR>", { size }],
    ["<REGION_TO_OCR>", { region, size, text: "EXIT" }],
  ])("%s refuses the slots %j", (task, slots) => {
    expect(() => promptFor(task, slots)).toThrow(TypeError);
  });

  test.each([
    ["inverted", { x0: 100, y0: 0, x1: 50, y1: 10 }, /x1 is 50/],
    ["outside", { x0: 0, y0: 0, x1: 10, y1: 481 }, /y1 is 481/],
    ["no number", { x0: Number.NaN, y0: 0, x1: 10, y1: 10 }, /x0 is NaN/],
  ])("a region that is %s is refused", (_, wrong, message) => {
    expect(() => promptFor("<REGION_TO_OCR>", { region: wrong, size })).toThrow(message);
    expect(() => promptFor("<REGION_TO_OCR>", { region: wrong, size })).toThrow(RangeError);
  });
});

describe("parseAnswer", () => {
  test.each(taskTokens)("%s never throws, whatever the model said", (task) => {
    fc.assert(
      fc.property(
        rawText,
        imageSize,
        (raw, image) => parseAnswer(task, raw, image).kind !== undefined,
      ),
    );
  });

  test.each(taskTokens)("%s does not see start, end and padding", (task) => {
    fc.assert(
      fc.property(rawText, (raw) => {
        const bare = raw.replaceAll(/[<>]/g, "");
        expect(parseAnswer(task, `</s><s><s>${bare}<pad></s><pad>`, size)).toEqual(
          parseAnswer(task, bare, size),
        );
      }),
    );
  });

  test("the answer's type follows from the task", () => {
    expectTypeOf(parseAnswer("<OCR_WITH_REGION>", "", size).kind).toEqualTypeOf<"quads">();
    expect(parseAnswer("<OCR_WITH_REGION>", "", size)).toEqual({
      kind: "quads",
      lines: [],
      remainder: "",
    });
  });

  test.each([
    { width: 0, height: 480 },
    { width: 640, height: -1 },
    { width: Number.NaN, height: 480 },
    { width: 640, height: Number.POSITIVE_INFINITY },
  ])("an image of %j is refused", (wrong) => {
    expect(() => parseAnswer("<OD>", "", wrong)).toThrow(RangeError);
  });
});

test.each(["<od>", "OD", "", "constructor", "__proto__"])("%j is no task", (name) => {
  const task = name as TaskToken; // as a caller without types would
  expect(() => promptFor(task)).toThrow(/is no task of Florence-2\. Give one of <CAPTION>/);
  expect(() => parseAnswer(task, "", size)).toThrow(TypeError);
});
