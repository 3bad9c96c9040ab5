import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { readConfig } from "../../adapters/config.ts";
import { connect } from "../../adapters/connect.ts";
import { applyChange } from "../../core/lifecycle.ts";
import { limits } from "../../core/limits.ts";
import type { Engine } from "../../core/ports.ts";
import { isFinished, type Run } from "../../core/run.ts";
import { openEngine } from "../../inference/florence2/engine.ts";
import { runWorker } from "../../inference/worker.ts";
import { newRun } from "../core/new-run.ts";
import { picture } from "../picture.ts";

const dataDir = mkdtempSync(join(tmpdir(), "vedere-worker-"));
const config = readConfig({}, { dataDir });
let ports: Awaited<ReturnType<typeof connect>>;
let engine: Engine;
let working: { stop: AbortController; ended: Promise<void> }[] = [];

beforeAll(async () => {
  ports = await connect(config);
  engine = openEngine({ models: ports.models, executionProviders: ["cpu"] });
  (await engine.hold("florence-2-nano")).release(); // to load it holds the thread for longer than these leases last
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
  overrides: Partial<typeof ports> = {},
  { runsAtOnce = 8, by = engine } = {},
): void {
  const stop = new AbortController();
  const options = {
    signal: stop.signal,
    log: () => {},
    leaseMs: 600,
    runsAtOnce,
    sightCacheBytes: 0,
  };
  working.push({ stop, ended: runWorker({ ...ports, ...overrides }, by, options) });
}

async function submit(fields: Partial<Run>): Promise<Run> {
  const bytes = await picture();
  const image = {
    id: "img_picture",
    sha256: "00",
    mediaType: "image/png",
    byteSize: bytes.length,
    width: 320,
    height: 240,
  } as const;
  await ports.images.put("ten_1", image, bytes);
  const { run } = await ports.runs.create(
    newRun({ image, createdAt: Date.now(), expiresAt: Date.now() + 60_000, ...fields }),
    null,
  );
  await ports.queue.send({ version: 1, tenantId: run.tenantId, runId: run.id });
  return run;
}

async function finished(run: Run): Promise<Run> {
  for (let now: Run | null = run; now; now = await ports.runs.get(run.tenantId, run.id)) {
    if (isFinished(now)) return now;
    await ports.runs.changed(run.tenantId, run.id, now.version, 10_000);
  }
  throw new Error("the run is gone");
}

const longTask = {
  name: "PROMPT",
  input: {
    text: "What is the text in the image?",
    grammar: "TEXT",
    options: { beams: 8, maxTokens: 400 },
  },
  outcome: null,
} as const;

test("a run is answered task by task, each with its provenance", async () => {
  startWorker();
  const run = await finished(await submit({ id: "run_answered" }));
  expect(run).toMatchObject({ status: "SUCCEEDED", attempt: 1 });
  const [caption, text] = run.tasks.map((task) => task.outcome);
  expect(caption?.result?.type).toBe("CaptionResult");
  expect(text?.result?.type).toBe("OcrResult");
  if (!caption?.result) throw new Error("no caption");
  expect(caption.provenance).toMatchObject({
    model: "florence-2-nano",
    beams: 1,
    prompt: "What does the image describe?",
    executionProvider: "cpu",
  });
  expect(caption.provenance.files.map((file) => file.path)).toContain("onnx/vision_encoder.onnx");
  expect(run.imageTimings?.visionMs).toBeGreaterThan(0);
  expect((await ports.queue.depth()).inFlight).toBe(0);
});

test("a task that cannot be done leaves its siblings alone", async () => {
  startWorker();
  const region = { x0: 900, y0: 0, x1: 950, y1: 10, unit: "PIXEL" };
  const bad = {
    name: "DESCRIBE_REGION",
    input: { region, as: "CATEGORY" },
    outcome: null,
  } as const;
  const run = await finished(await submit({ id: "run_partial", tasks: [bad, ...newRun().tasks] }));
  expect(run.status).toBe("PARTIALLY_SUCCEEDED");
  expect(run.tasks.map((task) => task.outcome?.error?.code)).toEqual([
    "INVALID",
    undefined,
    undefined,
  ]);
});

test("a canceled run stops before its next token", async () => {
  startWorker();
  const run = await submit({
    id: "run_canceled",
    tasks: Array.from({ length: 16 }, () => longTask),
  });
  await ports.runs.changed(run.tenantId, run.id, run.version, 10_000);
  await applyChange(ports, { tenantId: run.tenantId, runId: run.id }, { type: "cancel" });
  expect(await finished(run)).toMatchObject({ status: "CANCELED" });
  const next = await finished(await submit({ id: "run_after_cancel" }));
  expect(next.status).toBe("SUCCEEDED");
});

test("a run whose model is gone says so after its retries", async () => {
  startWorker();
  const run = await finished(await submit({ id: "run_no_model", model: "no-such-model" }));
  expect(run.status).toBe("FAILED");
  expect(run.tasks.every((task) => task.outcome?.error?.code === "MODEL_UNAVAILABLE")).toBe(true);
});

test("a run that killed every attempt is given up and buried", async () => {
  const run = await submit({ id: "run_poison" });
  for (let attempt = 0; attempt < limits.lease.attemptsMax; attempt += 1) {
    const [lease] = await ports.queue.receive({ max: 1, waitMs: 10_000, leaseMs: 1 });
    expect(lease?.message.runId).toBe(run.id);
  }
  startWorker();
  expect(await finished(run)).toMatchObject({ status: "FAILED" });
  await expect.poll(async () => (await ports.queue.depth()).dead).toBe(1);
});

test("an overdue run expires instead of being answered", async () => {
  startWorker();
  const run = await finished(await submit({ id: "run_overdue", expiresAt: Date.now() - 1 }));
  expect(run).toMatchObject({ status: "EXPIRED", attempt: 0 });
});

test("a worker that is full of one tenant's runs takes one of another's, and no more of the first's", async () => {
  const loud = await Promise.all(
    Array.from({ length: 5 }, (_, i) => submit({ id: `run_loud${i}`, tasks: [longTask] })),
  );
  const inProgress = async () =>
    (await Promise.all(loud.map(({ id }) => ports.runs.get("ten_1", id)))).filter(
      (run) => run?.status === "PROCESSING",
    ).length;
  let letGo = () => {};
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const slow: Engine = {
    ...engine,
    async answer(model, prompts, ...rest) {
      if (prompts.some(({ prompt }) => prompt === longTask.input.text)) await held;
      return engine.answer(model, prompts, ...rest);
    },
  };
  startWorker({}, { runsAtOnce: 2, by: slow });
  await expect.poll(inProgress, { timeout: 10_000 }).toBe(2);
  const bytes = await picture();
  const image = {
    id: "img_quiet",
    sha256: "00",
    mediaType: "image/png",
    byteSize: bytes.length,
    width: 320,
    height: 240,
  } as const;
  await ports.images.put("ten_quiet", image, bytes);
  const tasks = newRun().tasks.slice(0, 1); // a caption: not what is held
  const quiet = newRun({
    id: "run_quiet",
    tenantId: "ten_quiet",
    image,
    tasks,
    expiresAt: Date.now() + 60_000,
  });
  const { run } = await ports.runs.create(quiet, null);
  await ports.queue.send({ version: 1, tenantId: "ten_quiet", runId: run.id });
  expect((await finished(run)).status).toBe("SUCCEEDED");
  expect(await inProgress()).toBe(2);
  letGo();
  for (const each of loud) expect((await finished(each)).status).toBe("SUCCEEDED");
}, 30_000);
