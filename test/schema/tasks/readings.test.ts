import { describe, expect, test } from "vitest";
import type { RawAnswer } from "../../../schema/answer.ts";
import type { Reading } from "../../../schema/task.ts";
import { answerOf, certain, located } from "./answer.ts";
import { taskOf } from "./samples.ts";

const size = { width: 1000, height: 1000 };
const box = { x0: 1.5, y0: 2.5, x1: 3.5, y1: 4.5 };
const corners = [1, 2, 3, 4];
const square = [1, 2, 3, 2, 3, 4, 1, 4];
const squarePoints = [
  { x: 1.5, y: 2.5 },
  { x: 3.5, y: 2.5 },
  { x: 3.5, y: 4.5 },
  { x: 1.5, y: 4.5 },
];
const ring = [1, 2, 3, 2, 3, 4];
const ringPoints = squarePoints.slice(0, 3);
const scored = (score: number) => expect.closeTo(score, 10);

function read(field: string, input: Record<string, unknown>, answer: RawAnswer): Reading {
  return taskOf(field).ask(input, size, null).read(answer, size);
}

describe("a place's score is that of its own location tokens", () => {
  test("boxes of one label have a score each; the label's certainty does not count", () => {
    const answer = answerOf(
      ["ca", 0.1],
      ["r", 0.2],
      ...located(0.9, 1, 2),
      ...located(0.4, 3, 4),
      ...located(0.5, 1, 2, 3, 4),
    );
    expect(read("detectObjects", {}, answer)).toEqual({
      result: {
        type: "DetectionResult",
        objects: [
          { label: "car", box, polygons: null, score: scored(0.6) }, // √(0.9 · 0.4)
          { label: "car", box, polygons: null, score: scored(0.5) },
        ],
      },
      remainder: "",
    });
  });

  test("an outlined object", () => {
    const answer = answerOf(
      ["cat", 1],
      ["<poly>", 0.01],
      ...located(0.25, ...ring),
      ["</poly>", 0.01],
      ["dog", 1],
      ...located(0.5, 9),
    );
    expect(read("detectObjects", { labels: ["cat"] }, answer)).toEqual({
      result: {
        type: "DetectionResult",
        objects: [{ label: "cat", box, polygons: [{ points: ringPoints }], score: scored(0.25) }],
      },
      remainder: "dog<loc_9>",
    });
  });

  test("described regions", () => {
    expect(
      read("describeRegions", {}, answerOf(["red car", 0.1], ...located(0.5, ...corners))),
    ).toEqual({
      result: {
        type: "RegionCaptionsResult",
        regions: [{ text: "red car", box, score: scored(0.5) }],
      },
      remainder: "",
    });
  });

  test("proposed regions, whose unasked labels are remainder", () => {
    expect(
      read(
        "proposeRegions",
        {},
        answerOf(...located(0.5, ...corners), ["car", 1], ...located(0.7, 1, 2, 3, 4, 5)),
      ),
    ).toEqual({
      result: {
        type: "RegionProposalsResult",
        regions: [
          { box, score: scored(0.5) },
          { box, score: scored(0.7) },
        ],
      },
      remainder: "car\ncar<loc_5>",
    });
  });

  test("grounded phrases have one score for each box", () => {
    const answer = answerOf(
      ["a cat", 0.1],
      ...located(0.5, ...corners),
      ...located(0.8, ...corners),
    );
    expect(read("groundPhrases", { caption: "a cat" }, answer).result).toEqual({
      type: "GroundingResult",
      caption: "a cat",
      phrases: [
        { text: "a cat", start: 0, end: 5, boxes: [box, box], scores: [scored(0.5), scored(0.8)] },
      ],
    });
  });

  test("instances: separators and dropped numbers do not count", () => {
    const answer = answerOf(
      ...located(0.5, ...ring),
      ["<sep>", 0.001],
      ...located(0.5, ...ring),
      ...located(0.001, 7),
    );
    const polygons = [{ points: ringPoints }, { points: ringPoints }];
    expect(read("segment", { expression: "a cat" }, answer)).toEqual({
      result: { type: "SegmentationResult", instances: [{ polygons, box, score: scored(0.5) }] },
      remainder: "<loc_7>",
    });
  });

  test("an instance's unasked label is remainder", () => {
    expect(
      read("segment", { expression: "a cat" }, answerOf(["cat", 1], ...located(0.5, ...ring))),
    ).toMatchObject({
      result: { instances: [{ score: scored(0.5) }] },
      remainder: "cat",
    });
  });
});

describe("a text's score is that of its own tokens", () => {
  test.each([
    ["caption", { detail: "BRIEF" }, "CaptionResult"],
    ["ask", { question: "What?" }, "AnswerResult"],
  ])("%s", (field, input, type) => {
    const answer = answerOf([" a", 0.9], [" cat", 0.4], ["<loc_5>", 0.001]);
    expect(read(field, input, answer)).toEqual({
      result: { type, text: "a cat", score: scored(0.6) },
      remainder: "<loc_5>",
    });
  });

  test("an empty answer has none", () => {
    expect(
      read("caption", { detail: "BRIEF" }, { text: "", tokens: [], finish: "END" }).result,
    ).toEqual({
      type: "CaptionResult",
      text: "",
      score: 0,
    });
  });

  test("text without regions", () => {
    expect(read("readText", { regions: false }, answerOf(["EX", 0.9], ["IT", 0.4])).result).toEqual(
      {
        type: "OcrResult",
        text: "EXIT",
        score: scored(0.6),
        regions: [],
      },
    );
  });

  test("lines of text: the whole by its words, each line by its place; an unfinished line counts for neither", () => {
    const first = [["EXIT", 0.9] as const, ...located(0.5, ...square)];
    const second = [["A", 0.4] as const, ...located(0.7, ...square)];
    const quad = { points: squarePoints };
    expect(
      read(
        "readText",
        { regions: true },
        answerOf(...first, ...second, ["B", 0.001], ...located(0.001, 1)),
      ),
    ).toEqual({
      result: {
        type: "OcrResult",
        text: "EXIT\nA",
        score: scored(0.6),
        regions: [
          { text: "EXIT", quad, box, score: scored(0.5) },
          { text: "A", quad, box, score: scored(0.7) },
        ],
      },
      remainder: "B<loc_1>",
    });
  });

  test("a region's text: the region that the model repeats is neither text nor remainder", () => {
    const region = { x0: 1, y0: 2, x1: 3, y1: 4, unit: "PIXEL" };
    expect(
      read(
        "describeRegion",
        { region, as: "TEXT" },
        answerOf(["EXIT", 0.5], ...located(0.1, ...corners)),
      ),
    ).toEqual({
      result: {
        type: "RegionTextResult",
        text: "EXIT",
        as: "TEXT",
        region: { x0: 1, y0: 2, x1: 3, y1: 4 },
        score: scored(0.5),
      },
      remainder: "",
    });
  });
});

describe("the answer to a raw prompt is read by the grammar asked for", () => {
  const nothing = { type: "PromptResult", score: 1, objects: [], regions: [], instances: [] };
  const tokens = (bins: readonly number[]) => bins.map((bin) => `<loc_${bin}>`).join("");
  test.each([
    ["TEXT", `car${tokens(corners)}`, { ...nothing, text: "car" }, tokens(corners)],
    [
      "BOXES",
      `car${tokens(corners)}`,
      { ...nothing, text: "car", objects: [{ label: "car", box, polygons: null, score: 1 }] },
      "",
    ],
    [
      "QUADS",
      `EXIT${tokens(square)}A`,
      {
        ...nothing,
        text: "EXIT\nA",
        regions: [{ text: "EXIT", quad: { points: squarePoints }, box, score: 1 }],
      },
      "A",
    ],
    [
      "POLYGONS",
      `cat${tokens(ring)}`,
      {
        ...nothing,
        text: "cat",
        instances: [{ polygons: [{ points: ringPoints }], box, score: 1 }],
      },
      "", // the label is in the text
    ],
  ])("%s", (grammar, raw, result, remainder) => {
    expect(read("prompt", { text: "<Task>", grammar }, certain(raw))).toEqual({
      result,
      remainder,
    });
  });
});
