import { asAppError } from "../core/errors.ts";
import { applyChange } from "../core/lifecycle.ts";
import { limits } from "../core/limits.ts";
import type { Engine, Lease, Ports } from "../core/ports.ts";
import { isFinished, type Run, type RunChange } from "../core/run.ts";
import { answerTasks } from "./answer-tasks.ts";

type WorkerPorts = Pick<Ports, "runs" | "queue" | "images" | "clock">;

/** What a worker reports; no image bytes, no secrets. */
export type WorkerLog = (event: "run" | "error", fields: Readonly<Record<string, unknown>>) => void;

/**
 * Takes runs from the queue, one at a time, and answers them until `signal` aborts; a run in progress is finished first.
 * A worker may die at any point: the lease of its message ends, another worker claims the run with a higher attempt number, and
 * whatever the dead one still says is refused by that number.
 */
export async function runWorker(
  ports: WorkerPorts,
  engine: Engine,
  options: { signal: AbortSignal; log: WorkerLog; leaseMs?: number },
): Promise<void> {
  const { signal, log, leaseMs = limits.lease.leaseMs } = options;
  while (!signal.aborted) {
    try {
      const [lease] = await ports.queue.receive({ max: 1, waitMs: 20_000, leaseMs, signal });
      if (lease) await workOn(ports, engine, { lease, leaseMs, log });
    } catch (error) {
      log("error", { error: describe(error) });
      await pause(1_000, signal); // the store or queue is unwell: do not spin
    }
  }
}

/** One message: claim the run, answer it while the lease is renewed, store the answers, end the message. */
async function workOn(ports: WorkerPorts, engine: Engine, work: { lease: Lease; leaseMs: number; log: WorkerLog }): Promise<void> {
  const { lease, leaseMs, log } = work;
  const { tenantId, runId } = lease.message;
  const run = await ports.runs.get(tenantId, runId);
  if (!run || isFinished(run)) return ports.queue.remove(lease);
  if (run.status === "QUEUED" && run.expiresAt <= ports.clock.now()) return end(ports, lease, { type: "expire" });
  if (lease.receiveCount > limits.lease.attemptsMax) {
    const message = `Given up after ${limits.lease.attemptsMax} attempts that never ended.`;
    await applyChange(ports, { tenantId, runId }, { type: "giveUp", message });
    return ports.queue.bury(lease, message);
  }
  const claim = await applyChange(ports, { tenantId, runId }, { type: "claim" });
  if (!claim?.applied) return ports.queue.remove(lease);
  const stop = new AbortController();
  const watch = watchOver(ports, { run: claim.run, lease, leaseMs, stop });
  try {
    await answer(ports, engine, { run: claim.run, lease, signal: stop.signal, log });
  } finally {
    stop.abort();
    await watch;
  }
}

async function answer(
  ports: WorkerPorts,
  engine: Engine,
  work: { run: Run; lease: Lease; signal: AbortSignal; log: WorkerLog },
): Promise<void> {
  const { run, lease, signal, log } = work;
  const started = performance.now();
  try {
    const bytes = await ports.images.read(run.tenantId, run.image.id);
    if (!bytes) throw new Error(`The bytes of image ${run.image.id} are missing from the store.`);
    const { outcomes, imageTimings } = await answerTasks(engine, { model: run.model, bytes, tasks: run.tasks }, signal);
    await end(ports, lease, { type: "finish", attempt: run.attempt, outcomes, imageTimings });
    log("run", { runId: run.id, tenantId: run.tenantId, attempt: run.attempt, tasks: run.tasks.length, ms: performance.now() - started });
  } catch (error) {
    if (signal.aborted) return; // canceled, or the lease was lost and another attempt owns the run
    log("error", { runId: run.id, tenantId: run.tenantId, attempt: run.attempt, error: describe(error) });
    const known = asAppError(error);
    if (known.retryable && lease.receiveCount < limits.lease.attemptsMax)
      return ports.queue.release(lease, 1_000 * 2 ** lease.receiveCount);
    const code = known.code === "MODEL_UNAVAILABLE" || known.code === "MODEL_NOT_FOUND" ? "MODEL_UNAVAILABLE" : "INTERNAL";
    const outcomes = run.tasks.map(() => ({ error: { code, message: known.message, retryable: known.retryable } as const }));
    await end(ports, lease, { type: "finish", attempt: run.attempt, outcomes, imageTimings: null });
  }
}

async function end(ports: WorkerPorts, lease: Lease, change: RunChange): Promise<void> {
  await applyChange(ports, lease.message, change);
  await ports.queue.remove(lease);
}

/**
 * Keeps the lease alive, and stops the work where it no longer counts: the run was canceled, or the lease was lost. Returns once `stop`
 * is aborted, by itself or by the work's end.
 */
async function watchOver(ports: WorkerPorts, watched: { run: Run; lease: Lease; leaseMs: number; stop: AbortController }): Promise<void> {
  const { run, lease, leaseMs, stop } = watched;
  while (!stop.signal.aborted) {
    try {
      await ports.runs.changed(run.tenantId, run.id, run.version, leaseMs / 3, stop.signal);
      if (stop.signal.aborted) return;
      const now = await ports.runs.get(run.tenantId, run.id);
      if (!now || now.version !== run.version) {
        if (now && isFinished(now)) await ports.queue.remove(lease);
        return stop.abort();
      }
      if (!(await ports.queue.extend(lease, leaseMs))) return stop.abort();
    } catch {
      await pause(1_000, stop.signal); // the next round tries again; a lease that ends meanwhile is noticed by `extend`
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}

function describe(error: unknown): string {
  const { cause } = asAppError(error);
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(error instanceof Error ? (error.stack ?? error.message) : error);
}
