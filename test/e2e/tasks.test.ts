import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Box } from "../../schema/geometry.ts";
import { type Service, startService } from "./service.ts";

const folder = join(import.meta.dirname, "../../models/samples");

interface Thing {
  readonly label: string;
  readonly box: Box;
}
interface Sample {
  readonly file: string;
  readonly width: number;
  readonly height: number;
  readonly things: readonly { readonly category: string; readonly box: Box }[];
  readonly words: readonly { readonly text: string }[];
}
const samples: Sample[] = JSON.parse(readFileSync(join(folder, "samples.json"), "utf8"));
const harbour = samples.find((sample) => sample.file === "harbour.jpg");
if (!harbour) throw new Error("no harbour.jpg in samples.json");

let service: Service;
beforeAll(async () => {
  service = await startService({ workers: 1 });
});
afterAll(() => service.stop());

const document = `mutation ($input: RunCreateInput!) {
  runCreate(input: $input) {
    userErrors { path code message }
    run { status image { width height } tasks { name finish remainder error { code message } provenance { model beams } result {
      __typename
      ... on CaptionResult { text score }
      ... on DetectionResult { objects { label score box { x0 y0 x1 y1 } normalized: box(unit: NORMALIZED) { x0 y0 x1 y1 } } }
      ... on RegionCaptionsResult { regions { text score box { x0 y0 x1 y1 } } }
      ... on RegionProposalsResult { regions { score box { x0 y0 x1 y1 } } }
      ... on GroundingResult { caption phrases { text start end boxes { x0 y0 x1 y1 } scores } }
      ... on OcrResult { text score regions { text quad { points { x y } } } }
      ... on SegmentationResult { instances { score box { x0 y0 x1 y1 } polygons { points { x y } } } }
      ... on RegionTextResult { text as score }
      ... on AnswerResult { text score }
      ... on PromptResult { text objects { label } }
    } } }
  }
}`;

// biome-ignore lint/suspicious/noExplicitAny: the answer has the shape of the document above, which the schema checks
type Answer = any;

async function run(sample: Sample, tasks: object[]): Promise<Answer> {
  const source = { base64: readFileSync(join(folder, sample.file)).toString("base64") };
  const { runCreate } = await service.ask<{ runCreate: Answer }>(document, {
    input: { source, tasks, waitMs: 60_000 },
  });
  expect(runCreate.userErrors).toEqual([]);
  return runCreate.run;
}

function iou(a: Box, b: Box): number {
  const width = Math.min(a.x1, b.x1) - Math.max(a.x0, b.x0);
  const height = Math.min(a.y1, b.y1) - Math.max(a.y0, b.y0);
  const area = (box: Box) => (box.x1 - box.x0) * (box.y1 - box.y0);
  return width <= 0 || height <= 0 ? 0 : (width * height) / (area(a) + area(b) - width * height);
}

function truth(sample: Sample): Thing[] {
  return sample.things.map(({ category, box }) => ({ label: category, box }));
}

test("every task has its typed result, in one run", async () => {
  const [boat] = truth(harbour).filter((thing) => thing.label === "boat");
  if (!boat) throw new Error("no boat in harbour.jpg");
  const region = boat.box;
  const answered = await run(harbour, [
    { caption: {} },
    { caption: { detail: "DETAILED" } },
    { caption: { detail: "MORE_DETAILED" } },
    { detectObjects: {} },
    { detectObjects: { labels: ["bird"] } },
    { describeRegions: {} },
    { proposeRegions: {} },
    { groundPhrases: {} },
    { readText: {} },
    { readText: { regions: true } },
    { segment: { expression: "the boat" } },
    { segment: { region } },
    { describeRegion: { region, as: "CATEGORY" } },
    {
      describeRegion: {
        region: { x0: 0.1, y0: 0.05, x1: 0.6, y1: 0.2, unit: "NORMALIZED" },
        as: "TEXT",
      },
    },
    { ask: { question: "Is there a boat in the image?" } },
    {
      prompt: {
        text: "Locate the objects with category name in the image.",
        grammar: "BOXES",
        options: { beams: 1 },
      },
    },
  ]);
  expect(answered).toMatchObject({
    status: "SUCCEEDED",
    image: { width: harbour.width, height: harbour.height },
  });
  expect(answered.tasks.map((task: Answer) => task.result.__typename)).toEqual([
    "CaptionResult",
    "CaptionResult",
    "CaptionResult",
    "DetectionResult",
    "DetectionResult",
    "RegionCaptionsResult",
    "RegionProposalsResult",
    "GroundingResult",
    "OcrResult",
    "OcrResult",
    "SegmentationResult",
    "SegmentationResult",
    "RegionTextResult",
    "RegionTextResult",
    "AnswerResult",
    "PromptResult",
  ]);
  for (const task of answered.tasks) expect(task).toMatchObject({ finish: "END", error: null });
  const [caption, , , , , , , grounding, , , , outline, category, , question, prompt] =
    answered.tasks.map((task: Answer) => task.result);
  expect(caption.text).toContain("boat");
  expect(grounding.caption).toBe(caption.text);
  expect(
    grounding.phrases.map((phrase: Answer) => grounding.caption.slice(phrase.start, phrase.end)),
  ).toContain("a boat");
  expect(iou(outline.instances[0].box, region)).toBeGreaterThan(0.7);
  expect(category.text).toBe("boat");
  expect(question.text).toBe("yes");
  expect(prompt.objects.map((object: Answer) => object.label)).toContain("boat");
  expect(answered.tasks.at(-1).provenance).toEqual({ model: "florence-2-nano", beams: 1 });
});

test("the boxes sit on the objects of the sample images", async () => {
  const tally = { wanted: 0, found: 0, right: 0 };
  for (const sample of samples) {
    const { tasks } = await run(sample, [{ detectObjects: {} }]);
    const objects: (Thing & { normalized: Box; score: number })[] = tasks[0].result.objects;
    for (const { box, normalized, score } of objects) {
      expect(normalized.x1 * sample.width).toBeCloseTo(box.x1, 6);
      expect(score).toBeGreaterThan(0);
      expect(score).toBeLessThan(1);
    }
    tally.wanted += sample.things.length;
    tally.found += objects.length;
    tally.right += truth(sample).filter((thing) =>
      objects.some((object) => object.label === thing.label && iou(object.box, thing.box) > 0.5),
    ).length;
  }
  expect(tally.right / tally.wanted).toBeGreaterThanOrEqual(0.9);
  expect(tally.right / tally.found).toBeGreaterThanOrEqual(0.9);
});

test("the words of the sample images are read", async () => {
  const read = await Promise.all(
    samples.map(
      async (sample) => (await run(sample, [{ readText: { regions: true } }])).tasks[0].result,
    ),
  );
  const wanted = samples.flatMap((sample) => sample.words.map((word) => word.text));
  const right = samples.flatMap((sample, i) =>
    sample.words.filter((word) =>
      read[i].regions.some((region: Answer) => region.text === word.text),
    ),
  );
  expect(right.length / wanted.length).toBeGreaterThanOrEqual(0.8);
});

test("the ledger adds up to the work that was done, image features that were still known left out", async () => {
  await run(harbour, [{ caption: {} }, { readText: {} }]);
  const { runs, usage } = await service.ask<Answer>(`{
    runs(first: 100) { edges { node { timings { cached } tasks { result { __typename } timings { tokens } } } } }
    usage(from: "2026-01-01T00:00:00Z", to: "2999-01-01T00:00:00Z") { runs tasks encodings tokens cost }
  }`);
  const ended: Answer[] = runs.edges.map(({ node }: Answer) => ({
    ...node,
    tasks: node.tasks.filter(({ result }: Answer) => result),
  }));
  const answered = ended.filter(({ tasks }) => tasks.length > 0);
  const tasks = answered.flatMap((each) => each.tasks);
  const tokens = tasks.reduce((sum, { timings }) => sum + timings.tokens, 0);
  const encodings = answered.filter(({ timings }) => timings.cached !== true).length;
  expect(encodings).toBeGreaterThan(0);
  expect(encodings).toBeLessThan(answered.length);
  expect(usage).toEqual({
    runs: answered.length,
    tasks: tasks.length,
    encodings,
    tokens,
    cost: 100 * encodings + 20 * tasks.length + tokens,
  });
});
