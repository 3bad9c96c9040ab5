import { AppError } from "../core/errors.ts";
import type { Runs } from "../core/ports.ts";
import { isFinished, type Run } from "../core/run.ts";
import { randomBase62 } from "../core/tenant.ts";
import { payFor } from "./budget.ts";
import { chooseModel } from "./choose-model.ts";
import type { RequestContext } from "./context.ts";
import { hashInput } from "./idempotency.ts";
import { takeImage } from "./intake.ts";
import type { OpenWait } from "./open-waits.ts";
import {
  boundFaults,
  inputFault,
  type RunCreateInput,
  readTask,
  supportFault,
} from "./run-input.ts";
import { throwFaults } from "./user-errors.ts";
import { runWebhookFaults, runWebhookOf } from "./webhooks/run-webhook.ts";

export interface CreatedRun {
  readonly run: Run;
  /** True where the idempotency key returned an earlier run. */
  readonly replayed: boolean;
}

/**
 * Takes a run: checks the input, takes the image, stores and enqueues. Throws AppError, or an
 * AggregateError of them where several things are wrong, with paths from the input's place.
 */
export async function createRun(
  context: RequestContext,
  input: RunCreateInput,
): Promise<CreatedRun> {
  const { ports, caller } = context;
  const asked = input.tasks.map(readTask);
  throwFaults([...boundFaults(input), ...runWebhookFaults(context, input.webhook)]);
  const idempotency = input.idempotencyKey
    ? { key: input.idempotencyKey, inputHash: await hashInput(input) }
    : null;
  const earlier = idempotency && (await ports.runs.findByKey(caller.tenantId, idempotency.key));
  if (earlier) return replay(earlier.run, earlier.inputHash === idempotency.inputHash); // without its image: that may be gone by now
  const { model, name } = await chooseModel(context, input.model ?? null);
  throwFaults(asked.map((task) => supportFault(task, model)));
  for (let attempt = 1; ; attempt += 1) {
    const { image, bytes } = await takeImage(context, input.source);
    throwFaults(asked.map((task) => inputFault(task, image)));
    await context.admission.requireAdmitted(); // the image may have taken a while
    const tasks = asked.map(({ task, value }) => ({
      name: task.name,
      input: value,
      outcome: null,
    }));
    const takeBack = await payFor(context, tasks);
    const accepted = { input, idempotency, image, bytes, model: name, tasks };
    const { run, outcome } = await enqueue(context, accepted).catch(async (error) => {
      await takeBack();
      throw error;
    });
    if (outcome === "created") return { run, replayed: false };
    await takeBack();
    if (outcome !== "imageGone") return replay(run, outcome === "replayed"); // the same key came a moment ago
    if (attempt === imageAttemptsMax) throw imageGone();
  }
}

/**
 * An image that is deleted while a run takes it is stored anew, unless others delete it each time.
 */
const imageAttemptsMax = 3;

function imageGone(): AppError {
  return new AppError("NOT_FOUND", "The image was deleted meanwhile.", {
    path: ["source"],
    fix: "Send the image again.",
  });
}

interface Accepted extends Pick<Run, "image" | "model" | "tasks"> {
  readonly input: RunCreateInput;
  readonly idempotency: Parameters<Runs["create"]>[1];
  /** Null where the image is stored already. */
  readonly bytes: Uint8Array | null;
}

/**
 * Stores the run, and sends its message. What follows of it, on other machines, is traced as part
 * of this.
 */
function enqueue(context: RequestContext, accepted: Accepted) {
  const { tracing, traceparent: parent } = context;
  return tracing.span("run enqueue", { kind: "producer", parent }, async (span) => {
    const stored = await store(context, accepted, span.traceparent);
    span.set({
      "vedere.run_id": stored.run.id,
      "vedere.tasks": stored.run.tasks.length,
      "vedere.model": stored.run.model,
    });
    if (stored.outcome === "created") await send(context, stored.run);
    return stored;
  });
}

async function store(
  context: RequestContext,
  { input, idempotency, image, bytes, model, tasks }: Accepted,
  traceparent: string | null,
) {
  const { ports, caller } = context;
  if (bytes) await ports.images.put(caller.tenantId, image, bytes);
  const now = ports.clock.now();
  const run: Run = {
    id: `run_${randomBase62(22)}`,
    tenantId: caller.tenantId,
    version: 1,
    status: "QUEUED",
    attempt: 0,
    image,
    model,
    tasks,
    imageTimings: null,
    metadata: input.metadata ?? null,
    createdAt: now,
    startedAt: null,
    finishedAt: null,
    expiresAt: now + input.expiresInSeconds * 1000,
    webhook: runWebhookOf(context, input.webhook),
    traceparent,
    ...(input.keep === "NONE" && { keep: "NONE" }),
  };
  return ports.runs.create(run, idempotency);
}

function replay(run: Run, isSameInput: boolean): CreatedRun {
  if (isSameInput) return { run, replayed: true };
  throw new AppError("IDEMPOTENCY_MISMATCH", "This idempotency key was used with other input.", {
    path: ["idempotencyKey"],
    fix: "Use a new key, or repeat the first input.",
  });
}

/**
 * The run once it has finished, or as it is after `waitMs` or when nobody waits any more. Throws
 * AppError UNAUTHENTICATED where the key admits nobody any more.
 */
export async function waitForRun(
  { ports }: Pick<RequestContext, "ports">,
  run: Run,
  { waitMs, wait }: { waitMs: number; wait: OpenWait },
): Promise<Run> {
  const { signal } = wait;
  const deadline = ports.clock.now() + waitMs;
  let seen = run;
  while (!isFinished(seen) && !signal.aborted) {
    const leftMs = deadline - ports.clock.now();
    if (leftMs <= 0) break;
    await ports.runs.changed(seen.tenantId, seen.id, seen.version, leftMs, signal);
    const now = await ports.runs.get(seen.tenantId, seen.id);
    if (!now || now.version === seen.version) break;
    seen = now;
  }
  if (signal.reason instanceof AppError) throw signal.reason;
  if (seen !== run) await wait.requireAdmitted();
  return seen;
}

/**
 * A run whose message could not be sent stays QUEUED, and the sweeper sends it again: the caller
 * has been served.
 */
async function send({ ports, log, requestId }: RequestContext, run: Run): Promise<void> {
  try {
    await ports.queue.send({ version: 1, tenantId: run.tenantId, runId: run.id });
  } catch (err) {
    log.error(
      { requestId, runId: run.id, err },
      "a run was stored but not enqueued; the sweeper will send it",
    );
  }
}
