import { mkdtempSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readConfig } from "../../adapters/config.ts";
import { type Connection, connect } from "../../adapters/connect.ts";
import type { Engine, WorkerReport } from "../../core/ports.ts";
import { isFinished, type Run } from "../../core/run.ts";
import { openEngine } from "../../inference/florence2/engine.ts";
import { openModelReports } from "../../inference/model-reports.ts";
import { runWorker } from "../../inference/worker.ts";
import { newRun } from "../core/new-run.ts";
import { addModelCopy } from "../model-copy.ts";
import { picture } from "../picture.ts";

let dataDir: string;
let ports: Connection;
let engine: Engine;
let stop: AbortController;
let ended: Promise<unknown>;

/**
 * A worker as `vedere worker` runs it, on the real queue and store, with two revisions of a model
 * and an alias on the first.
 */
beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), "vedere-swap-"));
  for (const revision of ["1", "2"]) addModelCopy(dataDir, { id: "tuned", revision });
  ports = await connect(readConfig({}, { dataDir }));
  await ports.registry.setAlias({ name: "prod", target: "tuned@1" });
  const reports = openModelReports(ports, { workerId: "worker", logError: () => {} });
  engine = openEngine({ models: ports.models, threads: 1, onChange: reports.changed });
  stop = new AbortController();
  const { signal } = stop;
  ended = Promise.all([
    reports.run(engine, signal),
    runWorker(ports, engine, { signal, log: () => {} }),
  ]);
});
afterEach(async () => {
  stop.abort();
  await ended;
  await engine.close();
  await ports.close();
  rmSync(dataDir, { recursive: true });
});

async function submit(id: string): Promise<Run> {
  const bytes = await picture();
  const image = {
    id: `img_${id}`,
    sha256: id,
    mediaType: "image/png",
    byteSize: bytes.length,
    width: 320,
    height: 240,
  } as const;
  await ports.images.put("ten_1", image, bytes);
  const times = { createdAt: Date.now(), expiresAt: Date.now() + 60_000 };
  const { run } = await ports.runs.create(
    newRun({ id: `run_${id}`, image, model: "prod", ...times }),
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

/** Of all tasks of a run. */
function revisionsOf(run: Run): (string | undefined)[] {
  return [
    ...new Set(run.tasks.map(({ outcome }) => outcome?.result && outcome.provenance.revision)),
  ];
}

async function hostedRevisions(): Promise<string[]> {
  const reports: WorkerReport[] = await ports.registry.reports(0);
  return reports.flatMap(({ models }) =>
    models.map(({ revision, state }) => `${revision} ${state}`),
  );
}

test("runs that come while an alias is switched all succeed, each by one revision, and the former revision is unloaded", async () => {
  const early = await Promise.all(["a", "b", "c", "d"].map(submit));
  await finished(early[0] ?? expect.unreachable());
  const between = await Promise.all(["e", "f"].map(submit));
  await ports.registry.setAlias({ name: "prod", target: "tuned@2" });
  const late = await Promise.all(["g", "h", "i"].map(submit));

  const done = await Promise.all([...early, ...between, ...late].map(finished));
  expect(done.map(({ status }) => status)).toEqual(done.map(() => "SUCCEEDED"));
  const revisions = done.map(revisionsOf);
  expect(revisions[0]).toEqual(["1"]);
  for (const each of revisions) expect(["1", "2"]).toContain(each.join());
  expect(revisions.slice(-late.length)).toEqual(late.map(() => ["2"]));
  await expect.poll(hostedRevisions).toEqual(["2 READY"]);
});

test("a worker that ends takes its report back, but not what failed", async () => {
  truncateSync(join(dataDir, "models", "tuned-2", "onnx", "vision_encoder.onnx"), 100);
  await finished(await submit("a"));
  await expect.poll(hostedRevisions).toEqual(["1 READY"]);
  await expect(engine.hold("tuned@2")).rejects.toMatchObject({ code: "MODEL_UNAVAILABLE" });
  stop.abort();
  await ended;
  expect(await hostedRevisions()).toEqual(["2 FAILED"]);
});

test("a worker that ends with nothing failed takes its whole report back", async () => {
  await finished(await submit("a"));
  stop.abort();
  await ended;
  expect(await ports.registry.reports(0)).toEqual([]);
});
