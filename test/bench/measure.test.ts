import { expect, test } from "vitest";
import { cases } from "../../bench/base/cases.ts";
import { cleanOf, measure, median, type Pair, valuesOf } from "../../bench/base/measure.ts";
import { foreignShare } from "../../bench/base/processor.ts";
import { operatorTimes } from "../../bench/base/profile.ts";
import { report, withSection } from "../../bench/base/report.ts";
import { stagesOf } from "../../bench/base/sessions.ts";
import type { Sample, Side, Work } from "../../bench/base/side.ts";

/**
 * A side that takes `tokenMs` for each token of each prompt, and is disturbed whenever `foreign`
 * says so.
 */
function sideOf(
  name: string,
  log: string[],
  { tokenMs, foreign }: { tokenMs: number; foreign: () => number },
): Side {
  const ask = async ({ prompts, tokens }: Work): Promise<Sample> => {
    log.push(name);
    const ms = prompts.length * tokens * tokenMs;
    const stages = {
      pixelsMs: 0,
      visionMs: 0,
      encodeMs: 0,
      tokenMs: Array.from({ length: tokens }, () => tokenMs),
    };
    return { ms, foreignShare: foreign(), stages, texts: [...prompts], rssMb: 1 };
  };
  const first = {
    ms: 1,
    foreignShare: 0,
    stages: { pixelsMs: 0, visionMs: 0, encodeMs: 0, tokenMs: [] },
    texts: [],
    rssMb: 1,
  };
  return { loadMs: 1, first, ask, close: async () => {} };
}

function pairOf(log: string[], foreign = () => 0): Pair {
  const anchor = sideOf("anchor", log, { tokenMs: 2, foreign });
  return {
    precision: "fp32",
    anchor,
    ours: sideOf("ours", log, { tokenMs: 1, foreign: () => 0 }),
    sameAnswers: 3,
  };
}

const plan = { rounds: 2, minutes: 1, say: () => {} };

test("the sides take turns, and each round turns the order round", async () => {
  const log: string[] = [];
  await measure([pairOf(log)], { ...plan, names: ["one"] });
  expect(log).toEqual(["anchor", "ours", "ours", "anchor"]);
});

test("what others disturbed is measured again", async () => {
  let count = 0;
  const pair = pairOf([], () => (count++ === 0 ? 0.5 : 0));
  const samples = (await measure([pair], { ...plan, names: ["one"] })).get(pair) ?? new Map();
  const values = valuesOf("one", "anchor", samples);
  expect([values.length, cleanOf(values).length]).toEqual([3, 2]);
});

test("a machine that is never left alone does not hold the bench up for ever", async () => {
  const log: string[] = [];
  await measure([pairOf(log, () => 1)], { ...plan, names: ["one"] });
  expect(log).toHaveLength(2 * 3 * plan.rounds);
});

test("the anchor's several tasks are worth the sum of single ones, and shared works are measured once", async () => {
  const log: string[] = [];
  const pair = pairOf(log);
  const samples =
    (await measure([pair], { ...plan, rounds: 1, names: ["one", "three", "six"] })).get(pair) ??
    new Map();
  expect(log.filter((name) => name === "anchor")).toHaveLength(6);
  expect(valuesOf("six", "anchor", samples)[0]?.ms).toBe(6 * 64 * 2);
  expect(valuesOf("six", "ours", samples)[0]?.ms).toBe(6 * 64);
});

test("one long answer gives the time of 512 tokens and of those past them", async () => {
  const pair = pairOf([]);
  const samples =
    (await measure([pair], { ...plan, names: ["long", "past"] })).get(pair) ?? new Map();
  expect(valuesOf("long", "anchor", samples)[0]?.ms).toBe(512 * 2);
  expect(valuesOf("past", "ours", samples)[0]?.ms).toBe(1);
});

test("the report holds each ratio against its target", async () => {
  const names = ["one", "six"] as const;
  const text = report(await measure([pairOf([])], { ...plan, names }), names);
  expect(text).toMatch(/fp32, one task, 64 tokens .* 2\.00 \| +≥ 1\.2 reached/);
  expect(text).toMatch(/fp32, 6 tasks on one image .* 2\.00 \| +≥ 4 missed/);
});

test("every target of the cases is a ratio above nothing", () => {
  const targets = Object.values(cases).flatMap(({ targets }) => Object.values(targets));
  expect(targets).toHaveLength(7);
  expect(Math.min(...targets)).toBeGreaterThanOrEqual(1);
});

test("a median of an even number of values lies between the middle two", () => {
  expect([median([3, 1, 2]), median([4, 1, 2, 3])]).toEqual([2, 2.5]);
});

test("the time of each decoder run goes on to the next one", () => {
  const calls = [
    { part: "vision", start: 10, end: 40 },
    { part: "encoder", start: 41, end: 50 },
    { part: "decoder", start: 51, end: 60 },
    { part: "decoder", start: 65, end: 70 },
  ] as const;
  expect(stagesOf(calls, { start: 2, end: 80 })).toEqual({
    pixelsMs: 8,
    visionMs: 30,
    encodeMs: 9,
    tokenMs: [14, 15],
  });
});

test("a process's own time is not foreign", () => {
  const before = { wallMs: 0, busyMs: 0, ownMs: 0 };
  expect(foreignShare(before, { wallMs: 1_000, busyMs: 1_000, ownMs: 1_000 })).toBe(0);
  expect(foreignShare(before, { wallMs: 1_000, busyMs: 1_000_000, ownMs: 1_000 })).toBeGreaterThan(
    1,
  );
  expect(foreignShare(before, { wallMs: 1_000, busyMs: null, ownMs: 1_000 })).toBeNull();
});

test("a profile is summed by operator, without what runs inside of an If twice", () => {
  const node = (type: string, dur: number) => ({
    cat: "Node",
    name: `x_${type}_kernel_time`,
    dur,
    args: { op_name: type },
  });
  const events = [
    node("MatMul", 2_000),
    node("Add", 1_000),
    node("MatMul", 3_000),
    node("If", 9_000),
    { cat: "Session", name: "run", dur: 1 },
  ];
  expect(operatorTimes(JSON.stringify(events))).toEqual([
    { type: "MatMul", ms: 5, runs: 2 },
    { type: "Add", ms: 1, runs: 1 },
  ]);
});

test("a section of a document is replaced alone", () => {
  const document = withSection(withSection("# Results\n\nold\n", "Base", "one"), "Other", "two");
  expect(withSection(document, "Base", "three")).toBe(
    "# Results\n\nold\n\n## Base\n\nthree\n\n## Other\n\ntwo\n",
  );
});
