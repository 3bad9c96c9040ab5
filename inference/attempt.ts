import { asAppError, asTenantError } from "../core/errors.ts";
import { applyChange } from "../core/lifecycle.ts";
import { limits } from "../core/limits.ts";
import type { HeldModel, Lease, Ports, Sight } from "../core/ports.ts";
import {
  type ImageTimings,
  isFinished,
  type Run,
  type RunChange,
  type RunStatus,
  type TaskOutcome,
} from "../core/run.ts";
import { type RunWork, workOf } from "../core/run-work.ts";
import type { Span, Tracing } from "../core/tracing.ts";
import { answerSeen, failed } from "./answer-tasks.ts";
import type { SharedEngine } from "./batching.ts";
import { pause } from "./pause.ts";
import type { SightCache } from "./sight-cache.ts";

export type AttemptPorts = Pick<Ports, "runs" | "queue" | "images" | "clock">;

/** What a worker reports; no image bytes, no secrets. */
export type WorkerLog = (event: "run" | "error", fields: Readonly<Record<string, unknown>>) => void;

/**
 * Hears of every attempt that came to its end: how the run stands then, and where its time went.
 */
export type RunListener = (
  work: RunWork & { readonly status: string; readonly ms: number },
) => void;

/** What the attempts of one worker share. */
export interface AttemptTools {
  /** Each tenant's part of the engine. */
  readonly engineOf: (tenantId: string) => SharedEngine;
  readonly sights: SightCache;
  readonly log: WorkerLog;
  readonly tracing: Tracing;
  readonly onRun?: RunListener | undefined;
}

interface Delivery {
  readonly lease: Lease;
  readonly leaseMs: number;
  /**
   * What to wait for before the work, with the run claimed and the lease renewed; null: nothing.
   */
  readonly others: Promise<unknown> | null;
}

/**
 * One message: claim the run, answer it while the lease is renewed, store the answers, end the
 * message.
 */
export async function attemptRun(
  ports: AttemptPorts,
  tools: AttemptTools,
  delivery: Delivery,
): Promise<void> {
  const { lease, leaseMs, others } = delivery;
  const { tenantId, runId } = lease.message;
  const run = await ports.runs.get(tenantId, runId);
  if (!run || isFinished(run)) return ports.queue.remove(lease);
  if (run.status === "QUEUED" && run.expiresAt <= ports.clock.now())
    return void (await end(ports, lease, { type: "expire" }));
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
    await others;
    await traced(tools, claim.run, (span) =>
      answer(ports, tools, { run: claim.run, lease, signal: stop.signal, span }),
    );
  } finally {
    stop.abort();
    await watch;
  }
}

interface Work {
  readonly run: Run;
  readonly lease: Lease;
  readonly signal: AbortSignal;
  readonly span: Span;
}

/**
 * As a part of the trace of the request that the run came with: how long it waited for a worker,
 * and this attempt.
 */
async function traced(
  tools: AttemptTools,
  run: Run,
  work: (span: Span) => Promise<void>,
): Promise<void> {
  const { id, tenantId, attempt, model, traceparent: parent = null, createdAt, startedAt } = run;
  const attributes = {
    "vedere.run_id": id,
    "vedere.tenant_id": tenantId,
    "vedere.attempt": attempt,
    "vedere.model": model,
  };
  const waited = { parent, at: createdAt, until: startedAt ?? createdAt };
  if (attempt === 1) await tools.tracing.span("queue wait", waited, async () => {});
  await tools.tracing.span(
    "run attempt",
    { kind: "consumer", parent, attributes },
    async (span) => {
      await work(span);
    },
  );
}

async function answer(ports: AttemptPorts, tools: AttemptTools, work: Work): Promise<void> {
  const { run, lease, signal, span } = work;
  const started = performance.now();
  try {
    const { outcomes, imageTimings } = await answerWith(ports, tools, work);
    const status = await end(ports, lease, {
      type: "finish",
      attempt: run.attempt,
      outcomes,
      imageTimings,
    });
    const ms = performance.now() - started;
    const { id: runId, tenantId, attempt } = run;
    const done = { status: status ?? "GONE", ms, ...workOf(outcomes, imageTimings) };
    tools.log("run", { runId, tenantId, attempt, tasks: run.tasks.length, ...done });
    tools.onRun?.(done);
    const { visionMs, encodeMs, generateMs, tokens } = done;
    span.set({
      "vedere.status": done.status,
      "vedere.vision_ms": visionMs,
      "vedere.encode_ms": encodeMs,
      "vedere.generate_ms": generateMs,
    });
    span.set({ "vedere.tokens": tokens });
  } catch (error) {
    if (signal.aborted) return; // canceled, or the lease was lost and another attempt owns the run
    tools.log("error", {
      runId: run.id,
      tenantId: run.tenantId,
      attempt: run.attempt,
      error: describe(error),
    });
    const known = asAppError(error);
    span.set({ "error.type": known.code });
    if (known.retryable && lease.receiveCount < limits.lease.attemptsMax)
      return ports.queue.release(lease, 1_000 * 2 ** lease.receiveCount);
    const code =
      known.code === "MODEL_UNAVAILABLE" || known.code === "MODEL_NOT_FOUND"
        ? "MODEL_UNAVAILABLE"
        : "INTERNAL";
    const outcomes = run.tasks.map(() => ({
      error: { code, message: asTenantError(known).message, retryable: known.retryable } as const,
    }));
    await end(ports, lease, { type: "finish", attempt: run.attempt, outcomes, imageTimings: null });
  }
}

interface Answered {
  readonly outcomes: readonly TaskOutcome[];
  readonly imageTimings: ImageTimings | null;
}

/** Keeps one model for the whole run, and its share of the batches. */
async function answerWith(
  ports: AttemptPorts,
  tools: AttemptTools,
  { run, signal, span }: Work,
): Promise<Answered> {
  const engine = tools.engineOf(run.tenantId);
  const parent = span.traceparent;
  const held = await engine.hold(run.model, signal);
  const leave = engine.enter();
  try {
    const { sight, imageTimings } = await tools.tracing.span(
      "vision",
      { parent },
      async (stage) => {
        const seen = await see(ports, { engine, sights: tools.sights }, { run, held, signal });
        stage.set({ "vedere.cached": seen.imageTimings?.cached === true });
        return seen;
      },
    );
    if (sight instanceof Error)
      return { outcomes: run.tasks.map(() => failed(sight)), imageTimings };
    const asked = { model: held.model, sight, tasks: run.tasks };
    return {
      outcomes: await tools.tracing.span("answer", { parent }, () =>
        answerSeen(engine, asked, signal),
      ),
      imageTimings,
    };
  } finally {
    leave();
    held.release();
  }
}

/**
 * What the model sees in the run's image, from memory where an earlier run of the same tenant asked
 * about it.
 */
async function see(
  ports: AttemptPorts,
  { engine, sights }: { engine: SharedEngine; sights: SightCache },
  { run, held, signal }: { run: Run; held: HeldModel; signal: AbortSignal },
): Promise<{ sight: Sight | Error; imageTimings: ImageTimings | null }> {
  const key = { tenantId: run.tenantId, sha256: run.image.sha256, model: held.model };
  const kept = sights.get(key);
  if (kept)
    return { sight: kept, imageTimings: { decodeMs: 0, pixelsMs: 0, visionMs: 0, cached: true } };
  const bytes = await ports.images.read(run.tenantId, run.image.id);
  if (!bytes) throw new Error(`The bytes of image ${run.image.id} are missing from the store.`);
  const [sight = new Error("The engine returned no image features.")] = await engine.see(
    held.model,
    [bytes],
    signal,
  );
  if (sight instanceof Error) return { sight, imageTimings: null };
  if (run.keep !== "NONE") sights.put(key, sight);
  return { sight, imageTimings: { ...sight.timings, cached: false } };
}

/** Returns the status that the run has then: another's, where the change came too late. */
async function end(
  ports: AttemptPorts,
  lease: Lease,
  change: RunChange,
): Promise<RunStatus | null> {
  const changed = await applyChange(ports, lease.message, change);
  await ports.queue.remove(lease);
  return changed?.run.status ?? null;
}

/**
 * Keeps the lease alive, and stops the work where it no longer counts: the run was canceled, or the
 * lease was lost. Returns once `stop` is aborted, by itself or by the work's end.
 */
async function watchOver(
  ports: AttemptPorts,
  watched: { run: Run; lease: Lease; leaseMs: number; stop: AbortController },
): Promise<void> {
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

/** An error as the log has it, with where it came from. */
export function describe(error: unknown): string {
  const { cause } = asAppError(error);
  return cause instanceof Error
    ? (cause.stack ?? cause.message)
    : String(error instanceof Error ? (error.stack ?? error.message) : error);
}
