import { describe, expect, test } from "vitest";
import { taskByField, visionTasks } from "../../../schema/tasks.ts";
import { sampleInputs, taskOf } from "./samples.ts";

const size = { width: 640, height: 480 };
const region = (change: object = {}) => ({
  x0: 10,
  y0: 20,
  x1: 30,
  y1: 40,
  unit: "PIXEL",
  ...change,
});
const normalized = (change: object = {}) => ({
  x0: 0.1,
  y0: 0.2,
  x1: 0.3,
  y1: 0.4,
  unit: "NORMALIZED",
  ...change,
});
const describeRegion = (box: object) => ({ region: box, as: "CATEGORY" });

const refused: readonly [
  field: string,
  input: Record<string, unknown>,
  path: string[],
  message: string,
][] = [
  ["detectObjects", { labels: [] }, ["labels"], "There are 0 labels."],
  ["detectObjects", { labels: Array(33).fill("cat") }, ["labels"], "There are 33 labels."],
  ["detectObjects", { labels: ["a", "b", "c", " \n"] }, ["labels", "3"], "The text is blank."],
  [
    "detectObjects",
    { labels: ["a", "b".repeat(201)] },
    ["labels", "1"],
    "The text has 201 characters.",
  ],
  [
    "detectObjects",
    { labels: ["cat <and> dog"] },
    ["labels", "0"],
    "<and> is a token of the model, not a word.",
  ],
  ["groundPhrases", { caption: "" }, ["caption"], "The text is blank."],
  ["groundPhrases", { caption: "a".repeat(1001) }, ["caption"], "The text has 1001 characters."],
  [
    "groundPhrases",
    { caption: "a car</s>" },
    ["caption"],
    "</s> is a token of the model, not a word.",
  ],
  ["segment", {}, [], "There is neither an expression nor a region."],
  [
    "segment",
    { expression: null, region: null },
    [],
    "There is neither an expression nor a region.",
  ],
  [
    "segment",
    { expression: "a car", region: region() },
    [],
    "There are both an expression and a region.",
  ],
  ["segment", { expression: "" }, ["expression"], "The text is blank."],
  ["segment", { expression: "a".repeat(10_000) }, ["expression"], "The text has 10000 characters."],
  [
    "segment",
    { expression: "the <loc_5> car" },
    ["expression"],
    "<loc_5> is a token of the model, not a word.",
  ],
  ["segment", { region: region({ x1: 641 }) }, ["region", "x1"], "x1 is 641: outside the image."],
  [
    "describeRegion",
    describeRegion(region({ x0: -1 })),
    ["region", "x0"],
    "x0 is -1: outside the image.",
  ],
  [
    "describeRegion",
    describeRegion(region({ y0: 40, y1: 20 })),
    ["region", "y1"],
    "y1 is 20: not above y0, 40.",
  ],
  [
    "describeRegion",
    describeRegion(region({ x1: 10 })),
    ["region", "x1"],
    "x1 is 10: not above x0, 10.",
  ],
  [
    "describeRegion",
    describeRegion(region({ y0: Number.NaN })),
    ["region", "y0"],
    "y0 is NaN: outside the image.",
  ],
  [
    "describeRegion",
    describeRegion(normalized({ x1: 1.00001 })),
    ["region", "x1"],
    "x1 is 1.00001: outside the image.",
  ],
  [
    "describeRegion",
    describeRegion(normalized({ y1: Number.POSITIVE_INFINITY })),
    ["region", "y1"],
    "y1 is Infinity: outside the image.",
  ],
  ["ask", { question: "\t" }, ["question"], "The text is blank."],
  ["ask", { question: "a".repeat(501) }, ["question"], "The text has 501 characters."],
  [
    "ask",
    { question: "Is it <poly>?" },
    ["question"],
    "<poly> is a token of the model, not a word.",
  ],
  ["prompt", { text: " ", grammar: "TEXT" }, ["text"], "The text is blank."],
  [
    "prompt",
    { text: "a".repeat(2001), grammar: "TEXT" },
    ["text"],
    "The text has 2001 characters.",
  ],
];

const accepted: readonly [field: string, input: Record<string, unknown>][] = [
  ["detectObjects", {}],
  ["detectObjects", { labels: null }],
  ["detectObjects", { labels: Array(32).fill("c".repeat(200)) }],
  ["detectObjects", { labels: ["<3", "a <b> c", "<OD>", "café 猫"] }],
  ["groundPhrases", {}],
  ["groundPhrases", { caption: "a".repeat(1000) }],
  ["segment", { expression: "a".repeat(500), region: null }],
  ["segment", { region: region({ x0: 0, y0: 0, x1: 640, y1: 480 }), expression: null }],
  ["describeRegion", describeRegion(region({ x0: -0.0005, x1: 640.0005 }))],
  ["describeRegion", describeRegion(normalized({ x0: -1e-7, y1: 1 + 1e-7 }))],
  ["ask", { question: "<MedVQA> What is seen?" }],
  ["prompt", { text: "Anything <loc_5><and></s>", grammar: "BOXES" }],
  ["prompt", { text: "a".repeat(2000), grammar: "TEXT" }],
];

describe("an input outside its documented bounds is refused, and the fault says where", () => {
  test.each(refused)("%s %j", (field, input, path, message) => {
    const fault = taskOf(field).check(input, size);
    expect(fault).toEqual({ path, message, fix: expect.stringMatching(/^(Give|Leave) .+\.$/) });
  });
});

describe("an input within its bounds is taken", () => {
  test.each(accepted)("%s %j", (field, input) => {
    expect(taskOf(field).check(input, size)).toBeNull();
  });
});

describe("every token that the tokenizer adds is refused in words", () => {
  const names = [
    "od",
    "ocr",
    "cap",
    "ncap",
    "dcap",
    "grounding",
    "seg",
    "region_cap",
    "region_to_desciption",
    "proposal",
    "poly",
  ];
  const paired = names.flatMap((name) => [`<${name}>`, `</${name}>`]);
  test.each([
    ...paired,
    "<s>",
    "</s>",
    "<pad>",
    "<unk>",
    "<mask>",
    "<sep>",
    "<and>",
    "<loc_0>",
    "<loc_999>",
  ])("%s", (token) => {
    expect(taskOf("ask").check({ question: `What is ${token}?` }, size)?.message).toContain(token);
  });
});

describe("options have the same bounds in every task", () => {
  const wrong = [
    { beams: 0 },
    { beams: 9 },
    { beams: 1.5 },
    { maxTokens: 0 },
    { maxTokens: 1025 },
    { noRepeatNgramSize: -1 },
    { noRepeatNgramSize: 101 },
    { lengthPenalty: 10.5 },
    { lengthPenalty: -11 },
    { lengthPenalty: Number.NaN },
  ];
  const right = [
    {},
    null,
    { beams: null, maxTokens: null, noRepeatNgramSize: null, lengthPenalty: null },
    { beams: 1, maxTokens: 1, noRepeatNgramSize: 0, lengthPenalty: -10 },
    { beams: 8, maxTokens: 1024, noRepeatNgramSize: 100, lengthPenalty: 0.5 },
  ];

  test.each(visionTasks.map((task) => task.field))("%s", (field) => {
    const check = (options: object | null) =>
      taskByField(field)?.check({ ...sampleInputs[field], options }, size);
    for (const options of wrong)
      expect(check(options)?.path).toEqual(["options", ...Object.keys(options)]);
    for (const options of right) expect(check(options)).toBeNull();
  });
});
