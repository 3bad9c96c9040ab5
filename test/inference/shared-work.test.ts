import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from "vitest";
import { readConfig } from "../../adapters/config.ts";
import { connect } from "../../adapters/connect.ts";
import { applyChange } from "../../core/lifecycle.ts";
import type { Engine } from "../../core/ports.ts";
import { isFinished, type Run, type RunTask, type TaskOutcome } from "../../core/run.ts";
import { answerTasks } from "../../inference/answer-tasks.ts";
import { openEngine } from "../../inference/florence2/engine.ts";
import { runWorker } from "../../inference/worker.ts";
import { newRun } from "../core/new-run.ts";
import { nano, picture } from "./florence2/fixtures.ts";
import { notingEngine } from "./noting-engine.ts";

const dataDir = mkdtempSync(join(tmpdir(), "vedere-shared-work-"));
let ports: Awaited<ReturnType<typeof connect>>;
let engine: Engine;
let working: { stop: AbortController; ended: Promise<void> }[] = [];

beforeAll(async () => {
  ports = await connect(readConfig({}, { dataDir }));
  engine = openEngine({ models: ports.models });
});
afterEach(async () => {
  for (const { stop } of working) stop.abort();
  await Promise.all(working.map(({ ended }) => ended));
  working = [];
});
afterAll(async () => {
  await engine.close();
  await ports.close();
  rmSync(dataDir, { recursive: true });
});

function startWorker(
  options: { engine?: Engine; sightCacheBytes?: number; runsAtOnce?: number } = {},
): void {
  const stop = new AbortController();
  const { sightCacheBytes = 0, runsAtOnce = 8 } = options;
  const ended = runWorker(ports, options.engine ?? engine, {
    signal: stop.signal,
    log: () => {},
    leaseMs: 3_000,
    runsAtOnce,
    sightCacheBytes,
  });
  working.push({ stop, ended });
}

const caption: RunTask = {
  name: "CAPTION",
  input: { detail: "BRIEF", options: { maxTokens: 12 } },
  outcome: null,
};
const page: RunTask = {
  name: "PROMPT",
  input: {
    text: "What is the text in the image?",
    grammar: "TEXT",
    options: { beams: 4, maxTokens: 200, lengthPenalty: 9 },
  },
  outcome: null,
};

async function submit(id: string, bytes: Buffer, fields: Partial<Run> = {}): Promise<Run> {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const image = {
    id: `img_${id}`,
    sha256,
    mediaType: "image/png",
    byteSize: bytes.length,
    width: 160,
    height: 120,
  } as const;
  const run = newRun({
    id,
    image,
    tasks: [caption],
    createdAt: Date.now(),
    expiresAt: Date.now() + 60_000,
    ...fields,
  });
  await ports.images.put(run.tenantId, image, bytes);
  await ports.runs.create(run, null);
  await ports.queue.send({ version: 1, tenantId: run.tenantId, runId: run.id });
  return run;
}

async function until(run: Run, isThere: (run: Run) => boolean): Promise<Run> {
  for (let now: Run | null = run; now; now = await ports.runs.get(run.tenantId, run.id)) {
    if (isThere(now)) return now;
    await ports.runs.changed(run.tenantId, run.id, now.version, 10_000);
  }
  throw new Error("the run is gone");
}

const finished = (run: Run) => until(run, isFinished);

/** What a run found; scores to the digits that no company in a batch changes. */
function told(outcomes: readonly (TaskOutcome | null)[]): object[] {
  return outcomes.map((outcome) => {
    if (outcome?.result?.type !== "CaptionResult") return expect.unreachable("no caption");
    return { text: outcome.result.text, score: expect.closeTo(outcome.result.score ?? -1, 4) };
  });
}

const outcomesOf = (run: Run) => run.tasks.map(({ outcome }) => outcome);

test("twelve runs take fewer engine batches than runs, and say what single runs say", async () => {
  const noted = notingEngine(engine);
  const files = await Promise.all(Array.from({ length: 12 }, (_, i) => picture(i)));
  const runs = await Promise.all(files.map((bytes, i) => submit(`run_${i}`, bytes)));
  startWorker({ engine: noted });
  const answered = await Promise.all(runs.map(finished));
  const alone: object[][] = [];
  for (const bytes of files) {
    const { outcomes } = await answerTasks(engine, {
      model: "florence-2-nano",
      bytes,
      tasks: [caption],
    });
    alone.push(told(outcomes));
  }
  expect(answered.map((run) => outcomesOf(run).map((outcome) => outcome?.result))).toMatchObject(
    alone,
  );
  expect(answered.every(({ status, attempt }) => status === "SUCCEEDED" && attempt === 1)).toBe(
    true,
  );
  for (const verb of ["see", "answer"] as const) {
    const calls = noted.calls.filter((call) => call.verb === verb);
    expect(calls.length).toBeLessThan(12);
    expect(calls.reduce((sum, { items }) => sum + items, 0)).toBe(12);
  }
  expect(await ports.queue.depth()).toMatchObject({ visible: 0, inFlight: 0 });
});

test("a corrupt image among others fails alone", async () => {
  const broken = (await picture(3)).fill(0, 60);
  const runs = await Promise.all(
    Array.from({ length: 6 }, async (_, i) =>
      submit(`run_corrupt_${i}`, i === 2 ? broken : await picture(i)),
    ),
  );
  startWorker();
  const answered = await Promise.all(runs.map(finished));
  expect(answered.map(({ status }) => status)).toEqual(
    runs.map((_, i) => (i === 2 ? "FAILED" : "SUCCEEDED")),
  );
  expect(answered[2]?.tasks[0]?.outcome?.error?.code).toBe("SOURCE_CORRUPT");
});

test("a run that is canceled in the middle of a batch leaves the others of the batch alone", async () => {
  const question = (i: number): RunTask => ({
    ...page,
    input: { ...page.input, text: `What is text ${i} in the image?` },
  });
  const runs = await Promise.all(
    Array.from({ length: 6 }, async (_, i) =>
      submit(`run_cancel_${i}`, await picture(i), { tasks: [question(i)] }),
    ),
  );
  let canceled: Run | null = null;
  const cancelFirstOfSeveral = async (prompts: readonly string[]) => {
    if (canceled || prompts.length < 2) return;
    canceled = runs[runs.findIndex(({ tasks }) => tasks[0]?.input.text === prompts[0])] ?? null;
    await applyChange(ports, { tenantId: "ten_1", runId: canceled?.id ?? "" }, { type: "cancel" });
  };
  startWorker({ engine: notingEngine(engine, cancelFirstOfSeveral) });
  const answered = await Promise.all(runs.map(finished));
  expect(canceled).not.toBeNull();
  expect(answered.map(({ status }) => status)).toEqual(
    runs.map((run) => (run === canceled ? "CANCELED" : "SUCCEEDED")),
  );
  await expect.poll(() => ports.queue.depth()).toMatchObject({ visible: 0, inFlight: 0 });
});

test("a worker that is stopped finishes all runs that it has, and takes no more", async () => {
  const runs = await Promise.all(
    Array.from({ length: 5 }, async (_, i) =>
      submit(`run_stop_${i}`, await picture(i), { tasks: [page] }),
    ),
  );
  startWorker({ runsAtOnce: 3 });
  await Promise.race(runs.map((run) => until(run, ({ status }) => status === "PROCESSING")));
  for (const { stop } of working) stop.abort();
  await Promise.all(working.map(({ ended }) => ended));
  const now = await Promise.all(runs.map((run) => ports.runs.get(run.tenantId, run.id)));
  const statuses = now.map((run) => run?.status);
  expect(statuses.every((status) => status === "SUCCEEDED" || status === "QUEUED")).toBe(true);
  expect(statuses.filter((status) => status === "SUCCEEDED").length).toBeLessThanOrEqual(3);
  expect(statuses).toContain("SUCCEEDED");
  startWorker();
  await Promise.all(runs.map(finished));
});

test("a run that was delivered before is worked on alone", async () => {
  const noted = notingEngine(engine);
  const again = await submit("run_again", await picture(1), { tasks: [page] });
  const [lease] = await ports.queue.receive({ max: 1, waitMs: 10_000, leaseMs: 60_000 });
  if (!lease) return expect.unreachable();
  const others = await Promise.all(
    Array.from({ length: 6 }, async (_, i) => submit(`run_other_${i}`, await picture(i))),
  );
  await ports.queue.release(lease, 0);
  startWorker({ engine: noted });
  await Promise.all([again, ...others].map(finished));
  expect(
    noted.calls.filter(({ prompts }) => prompts.includes("What is the text in the image?")),
  ).toEqual([{ verb: "answer", items: 1, prompts: ["What is the text in the image?"] }]);
  const place = noted.calls.findIndex(({ prompts }) =>
    prompts.includes("What is the text in the image?"),
  );
  expect(noted.calls[place - 1]).toEqual({ verb: "see", items: 1, prompts: [] });
});

test("a later run on the same image of the same tenant sees nothing again, and says so", async () => {
  const noted = notingEngine(engine);
  const bytes = await picture(77);
  startWorker({ engine: noted, sightCacheBytes: 1e8 });
  const first = await finished(await submit("run_first", bytes));
  const second = await finished(await submit("run_second", bytes));
  const stranger = await finished(await submit("run_stranger", bytes, { tenantId: "ten_2" }));
  expect(first.imageTimings).toMatchObject({ cached: false });
  expect(first.imageTimings?.visionMs).toBeGreaterThan(0);
  expect(second.imageTimings).toEqual({ decodeMs: 0, pixelsMs: 0, visionMs: 0, cached: true });
  expect(stranger.imageTimings).toMatchObject({ cached: false });
  expect(outcomesOf(second).map((outcome) => outcome?.result)).toMatchObject(
    told(outcomesOf(first)),
  );
  expect(noted.calls.filter(({ verb }) => verb === "see")).toHaveLength(2);
});

test("what the model sees in the image of a run that keeps nothing is not remembered", async () => {
  const noted = notingEngine(engine);
  const bytes = await picture(79);
  startWorker({ engine: noted, sightCacheBytes: 1e8 });
  await finished(await submit("run_forgotten", bytes, { keep: "NONE" }));
  const second = await finished(await submit("run_remembered", bytes));
  expect(second.imageTimings).toMatchObject({ cached: false });
});

test("a hit does not even need the image's bytes", async () => {
  const bytes = await picture(78);
  startWorker({ sightCacheBytes: 1e8 });
  await finished(await submit("run_with_bytes", bytes));
  const image = { ...(await submit("run_bytes_source", bytes)).image, id: "img_that_is_nowhere" };
  const run = newRun({
    id: "run_without_bytes",
    image,
    tasks: [caption],
    createdAt: Date.now(),
    expiresAt: Date.now() + 60_000,
  });
  await ports.runs.create(run, null);
  await ports.queue.send({ version: 1, tenantId: run.tenantId, runId: run.id });
  expect(await finished(run)).toMatchObject({
    status: "SUCCEEDED",
    imageTimings: { cached: true },
  });
});

test("a model that was replaced under the same name sees anew", async () => {
  let info = nano;
  const replaceable = openEngine({ models: { list: async () => [info] } });
  onTestFinished(() => replaceable.close());
  const noted = notingEngine(replaceable);
  const bytes = await picture(80);
  startWorker({ engine: noted, sightCacheBytes: 1e8 });
  const submitNano = (id: string) => submit(id, bytes, { model: "nano" });
  expect(await finished(await submitNano("run_before"))).toMatchObject({
    imageTimings: { cached: false },
  });
  expect(await finished(await submitNano("run_before_too"))).toMatchObject({
    imageTimings: { cached: true },
  });
  info = { ...nano, revision: "another" };
  expect(await finished(await submitNano("run_after"))).toMatchObject({
    status: "SUCCEEDED",
    imageTimings: { cached: false },
  });
  info = { ...nano, revision: "another", stamp: "other files" };
  expect(await finished(await submitNano("run_after_too"))).toMatchObject({
    status: "SUCCEEDED",
    imageTimings: { cached: false },
  });
});

test("without room for features every run sees for itself", async () => {
  const bytes = await picture(79);
  startWorker({ sightCacheBytes: 0 });
  await finished(await submit("run_uncached_1", bytes));
  expect(await finished(await submit("run_uncached_2", bytes))).toMatchObject({
    imageTimings: { cached: false },
  });
});

test("two workers on one queue answer every run once, and both have a part in it", async () => {
  const noted = [notingEngine(engine), notingEngine(engine)];
  for (const each of noted) startWorker({ engine: each, runsAtOnce: 4 });
  const runs = await Promise.all(
    Array.from({ length: 24 }, async (_, i) => submit(`run_two_${i}`, await picture(i))),
  );
  const answered = await Promise.all(runs.map(finished));
  expect(answered.every(({ status, attempt }) => status === "SUCCEEDED" && attempt === 1)).toBe(
    true,
  );
  const seen = noted.map(({ calls }) =>
    calls.filter(({ verb }) => verb === "see").reduce((sum, { items }) => sum + items, 0),
  );
  expect(seen.reduce((sum, items) => sum + items, 0)).toBe(24);
  for (const items of seen) expect(items).toBeGreaterThan(0);
});
