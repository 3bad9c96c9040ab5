import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readConfig } from "../adapters/config.ts";
import { connect } from "../adapters/connect.ts";
import { applyChange } from "../core/lifecycle.ts";
import type { Run } from "../core/run.ts";
import { answerTasks } from "../inference/answer-tasks.ts";
import { openEngine } from "../inference/florence2/engine.ts";

/**
 * Milliseconds of each stage of a run, measured in this process on the embedded model, `n` times
 * after two to warm up.
 */
export async function benchStages(bytes: Uint8Array, n: number): Promise<Record<string, number[]>> {
  const dataDir = mkdtempSync(join(tmpdir(), "vedere-bench-"));
  const ports = await connect(readConfig({}, { dataDir }));
  const engine = openEngine({ models: ports.models, executionProviders: ["cpu"] });
  const series: Record<string, number[]> = {};
  const note = (name: string, value: number) => {
    series[name] = [...(series[name] ?? []), value];
  };
  const tasks = [
    { name: "CAPTION", input: { detail: "BRIEF" } },
    { name: "DETECT_OBJECTS", input: {} },
    { name: "READ_TEXT", input: { regions: false } },
  ] as const;
  for (let i = -2; i < n; i += 1) {
    const { outcomes, imageTimings } = await answerTasks(engine, {
      model: "florence-2-nano",
      bytes,
      tasks,
    });
    const stored = await storeRun(
      ports,
      { ...blank, id: `run_${i}`, tasks: tasks.map((task) => ({ ...task, outcome: null })) },
      outcomes,
    );
    if (i < 0 || !imageTimings) continue;
    note("decode image", imageTimings.decodeMs);
    note("pixels", imageTimings.pixelsMs);
    note("vision encoder", imageTimings.visionMs);
    const timings = outcomes.flatMap((outcome) => (outcome.result ? [outcome.timings] : []));
    note("prompt (3 in one batch)", Math.max(...timings.map((t) => t.encodeMs)));
    const generateMs = Math.max(...timings.map((t) => t.generateMs));
    note("generate (3 answers)", generateMs);
    note("generate, per token", generateMs / Math.max(...timings.map((t) => t.tokens)));
    note("parse, per answer", Math.max(...timings.map((t) => t.parseMs)));
    note("store (create, claim, finish)", stored);
  }
  await engine.close();
  await ports.close();
  rmSync(dataDir, { recursive: true });
  return series;
}

const blank: Run = {
  id: "",
  tenantId: "ten_bench",
  version: 1,
  status: "QUEUED",
  attempt: 0,
  image: { id: "img_bench", sha256: "", mediaType: "image/jpeg", byteSize: 0, width: 1, height: 1 },
  model: "florence-2-nano",
  tasks: [],
  imageTimings: null,
  metadata: null,
  createdAt: 0,
  startedAt: null,
  finishedAt: null,
  expiresAt: 0,
};

async function storeRun(
  ports: Awaited<ReturnType<typeof connect>>,
  run: Run,
  outcomes: Parameters<typeof finish>[2],
): Promise<number> {
  const started = performance.now();
  await ports.runs.create(run, null);
  await applyChange(ports, { tenantId: run.tenantId, runId: run.id }, { type: "claim" });
  await finish(ports, run, outcomes);
  return performance.now() - started;
}

function finish(
  ports: Awaited<ReturnType<typeof connect>>,
  run: Run,
  outcomes: Awaited<ReturnType<typeof answerTasks>>["outcomes"],
) {
  return applyChange(
    ports,
    { tenantId: run.tenantId, runId: run.id },
    { type: "finish", attempt: 1, outcomes, imageTimings: null },
  );
}
