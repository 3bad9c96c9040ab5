import { afterAll, beforeAll, expect, test } from "vitest";
import { applyChange } from "../../core/lifecycle.ts";
import type { TaskOutcome } from "../../core/run.ts";
import type { TaskResult } from "../../schema/result.ts";
import { runCreate, runInput, startGateway, type TestGateway } from "./start.ts";

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.close());

/** On an image of 320 × 240. */
const box = { x0: 32, y0: 24, x1: 160, y1: 240 };
const half = { x0: 0.1, y0: 0.1, x1: 0.5, y1: 1 };
const corners = [
  { x: 32, y: 24 },
  { x: 160, y: 24 },
  { x: 160, y: 240 },
  { x: 32, y: 240 },
] as const;
const object = { label: "box", box, polygons: null, score: 0.5 };
const instance = { polygons: [{ points: corners }], box, score: 0.5 };
const line = { text: "HOTEL", quad: { points: corners }, box, score: 0.5 };

const results: readonly TaskResult[] = [
  { type: "CaptionResult", text: "a box", score: 0.5 },
  { type: "DetectionResult", objects: [object, { ...object, polygons: instance.polygons }] },
  { type: "RegionCaptionsResult", regions: [{ text: "a box", box, score: 0.5 }] },
  { type: "RegionProposalsResult", regions: [{ box, score: 0.5 }] },
  {
    type: "GroundingResult",
    caption: "a box",
    phrases: [{ text: "a box", start: 0, end: 5, boxes: [box], scores: [0.5] }],
  },
  { type: "OcrResult", text: "HOTEL", score: 0.5, regions: [line] },
  { type: "SegmentationResult", instances: [instance] },
  { type: "RegionTextResult", text: "a box", as: "DESCRIPTION", region: box, score: 0.5 },
  { type: "AnswerResult", text: "red", score: 0.5 },
  {
    type: "PromptResult",
    text: "box",
    score: 0.5,
    objects: [object],
    regions: [],
    instances: [instance],
  },
];

const outcome = (result: TaskResult): TaskOutcome => ({
  result,
  finish: "END",
  remainder: "",
  raw: "raw",
  timings: { encodeMs: 1, generateMs: 2, parseMs: 3, tokens: 4 },
  provenance: {
    model: "m",
    revision: "r",
    precision: "fp32",
    executionProvider: "cpu",
    beams: 3,
    prompt: "p",
    files: [{ path: "f", sha256: "s" }],
  },
});

/** A finished run with these outcomes. */
async function finishedRun(outcomes: readonly TaskOutcome[]): Promise<string> {
  const { run } = (
    await gateway.ask(runCreate, {
      input: await runInput({ tasks: outcomes.map(() => ({ caption: {} })) }),
    })
  ).body.data.runCreate;
  const place = { tenantId: "ada", runId: run.id };
  await applyChange(gateway.ports, place, { type: "claim" });
  const imageTimings = { decodeMs: 1, pixelsMs: 2, visionMs: 3 };
  const change = await applyChange(gateway.ports, place, {
    type: "finish",
    attempt: 1,
    outcomes,
    imageTimings,
  });
  expect(change?.applied).toBe(true);
  return run.id;
}

const areas = `query ($id: ID!, $unit: LengthUnit!) { run(id: $id) { tasks { result { __typename
  ... on CaptionResult { text score }
  ... on DetectionResult { objects { label score box(unit: $unit) { ...B } polygons(unit: $unit) { ...P } } }
  ... on RegionCaptionsResult { captioned: regions { text box(unit: $unit) { ...B } } }
  ... on RegionProposalsResult { proposed: regions { box(unit: $unit) { ...B } } }
  ... on GroundingResult { caption phrases { text start end boxes(unit: $unit) { ...B } scores } }
  ... on OcrResult { text lines: regions { text quad(unit: $unit) { points { x y } } box(unit: $unit) { ...B } } }
  ... on SegmentationResult { instances { polygons(unit: $unit) { ...P } box(unit: $unit) { ...B } } }
  ... on RegionTextResult { text as region(unit: $unit) { ...B } }
  ... on AnswerResult { text score }
  ... on PromptResult { text boxes: objects { box(unit: $unit) { ...B } } quads: regions { text } outlines: instances { box(unit: $unit) { ...B } } }
} } } }
fragment B on Box { x0 y0 x1 y1 }
fragment P on Polygon { points { x y } }`;

test("every kind of result comes back whole, its areas in pixels or from 0 to 1", async () => {
  const id = await finishedRun(results.map(outcome));
  for (const unit of ["PIXEL", "NORMALIZED"]) {
    const expected = unit === "PIXEL" ? box : half;
    const points =
      unit === "PIXEL"
        ? corners
        : [
            { x: 0.1, y: 0.1 },
            { x: 0.5, y: 0.1 },
            { x: 0.5, y: 1 },
            { x: 0.1, y: 1 },
          ];
    const { body } = await gateway.ask(areas, { id, unit });
    expect(body.errors).toBeUndefined();
    const found = body.data.run.tasks.map(({ result }: { result: object }) => result);
    expect(found.map(({ __typename }: { __typename: string }) => __typename)).toEqual(
      results.map(({ type }) => type),
    );
    expect(found[1].objects).toEqual([
      { label: "box", score: 0.5, box: expected, polygons: null },
      { label: "box", score: 0.5, box: expected, polygons: [{ points }] },
    ]);
    expect(found[2].captioned).toEqual([{ text: "a box", box: expected }]);
    expect(found[3].proposed).toEqual([{ box: expected }]);
    expect(found[4]).toMatchObject({
      caption: "a box",
      phrases: [{ text: "a box", start: 0, end: 5, boxes: [expected], scores: [0.5] }],
    });
    expect(found[5]).toMatchObject({
      text: "HOTEL",
      lines: [{ text: "HOTEL", quad: { points }, box: expected }],
    });
    expect(found[6].instances).toEqual([{ polygons: [{ points }], box: expected }]);
    expect(found[7]).toMatchObject({ text: "a box", as: "DESCRIPTION", region: expected });
    expect(found[9]).toMatchObject({
      boxes: [{ box: expected }],
      quads: [],
      outlines: [{ box: expected }],
    });
  }
});

test("a task tells its result or its error, and where the answer came from", async () => {
  const failed: TaskOutcome = { error: { code: "MODEL_FAILED", message: "no", retryable: false } };
  const id = await finishedRun([
    outcome({ type: "AnswerResult", text: "red", score: 0.5 }),
    failed,
  ]);
  const { body } = await gateway.ask(
    `query ($id: ID!) { run(id: $id) { status createdAt startedAt finishedAt
      timings { queuedMs decodeMs pixelsMs visionMs totalMs } model { id isDefault }
      tasks { name finish remainder raw error { code message retryable } timings { encodeMs generateMs parseMs tokens }
        provenance { model beams prompt files { path sha256 } } result { __typename } } } }`,
    { id },
  );
  const { run } = body.data;
  expect(run).toMatchObject({
    status: "PARTIALLY_SUCCEEDED",
    timings: { decodeMs: 1, pixelsMs: 2, visionMs: 3 },
    model: { isDefault: true },
  });
  for (const instant of [run.createdAt, run.startedAt, run.finishedAt])
    expect(new Date(instant).toISOString()).toBe(instant);
  expect(run.timings.totalMs).toBe(Date.parse(run.finishedAt) - Date.parse(run.createdAt));
  expect(run.timings.queuedMs).toBe(Date.parse(run.startedAt) - Date.parse(run.createdAt));
  expect(run.tasks).toEqual([
    {
      name: "CAPTION",
      finish: "END",
      remainder: "",
      raw: "raw",
      error: null,
      timings: { encodeMs: 1, generateMs: 2, parseMs: 3, tokens: 4 },
      provenance: { model: "m", beams: 3, prompt: "p", files: [{ path: "f", sha256: "s" }] },
      result: { __typename: "AnswerResult" },
    },
    {
      name: "CAPTION",
      finish: null,
      remainder: null,
      raw: null,
      error: { code: "MODEL_FAILED", message: "no", retryable: false },
      timings: null,
      provenance: null,
      result: null,
    },
  ]);
});

test("a run outlives its model", async () => {
  const id = await finishedRun([outcome({ type: "AnswerResult", text: "red", score: 0.5 })]);
  const stored = (await gateway.ports.runs.get("ada", id)) ?? expect.unreachable();
  const again = { ...stored, status: "PROCESSING", finishedAt: null } as const; // a run that has ended would be charged anew
  await gateway.ports.runs.replace({ ...again, version: stored.version + 1, model: "departed" });
  const { body } = await gateway.ask(
    "query ($id: ID!) { run(id: $id) { model { id description tasks isDefault } } }",
    { id },
  );
  expect(body.data.run.model).toEqual({
    id: "departed",
    description: "No longer in this service.",
    tasks: [],
    isDefault: false,
  });
});
