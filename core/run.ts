import type { Finish } from "../schema/answer.ts";
import type { Size } from "../schema/geometry.ts";
import type { TaskResult } from "../schema/result.ts";
import type { TaskName } from "../schema/task.ts";
import { limits } from "./limits.ts";
import type { RunWebhook } from "./run-webhook.ts";

export type RunStatus =
  | "QUEUED"
  | "PROCESSING"
  | "SUCCEEDED"
  | "PARTIALLY_SUCCEEDED"
  | "FAILED"
  | "CANCELED"
  | "EXPIRED";
export type TaskErrorCode =
  | "INVALID"
  | "SOURCE_CORRUPT"
  | "MODEL_FAILED"
  | "MODEL_UNAVAILABLE"
  | "CANCELED"
  | "ATTEMPTS_EXHAUSTED"
  | "INTERNAL";

/** An image as it is known to the service. */
export interface StoredImage extends Size {
  readonly id: string;
  /** Of the file's bytes, hexadecimal. */
  readonly sha256: string;
  readonly mediaType: "image/jpeg" | "image/png" | "image/webp" | "image/gif";
  readonly byteSize: number;
  /** What was odd about the file, although it was taken; absent: nothing. */
  readonly warnings?: readonly ImageWarning[];
}

/** END_MARKER_MISSING: a JPEG with all its data, but without the two bytes at its end. */
export type ImageWarning = "END_MARKER_MISSING";

/** What exactly made an answer. */
export interface Provenance {
  readonly model: string;
  readonly revision: string;
  readonly precision: string;
  readonly executionProvider: string;
  readonly beams: number;
  readonly prompt: string;
  readonly files: readonly { readonly path: string; readonly sha256: string }[];
}

export interface TaskTimings {
  readonly encodeMs: number;
  readonly generateMs: number;
  readonly parseMs: number;
  readonly tokens: number;
}

/** How a task ended. */
export type TaskOutcome =
  | {
      readonly result: TaskResult;
      readonly error?: undefined;
      readonly finish: Finish;
      readonly remainder: string;
      readonly raw: string;
      readonly timings: TaskTimings;
      readonly provenance: Provenance;
    }
  | {
      readonly result?: undefined;
      readonly error: {
        readonly code: TaskErrorCode;
        readonly message: string;
        readonly retryable: boolean;
      };
    };

export interface RunTask {
  readonly name: TaskName;
  /** The GraphQL input of the task's field, defaults filled in. */
  readonly input: Readonly<Record<string, unknown>>;
  readonly outcome: TaskOutcome | null;
}

/** Milliseconds of the stages before the answers. */
export interface ImageTimings {
  readonly decodeMs: number;
  readonly pixelsMs: number;
  readonly visionMs: number;
  /**
   * Whether the worker still knew what the model sees in this image, and did none of this again;
   * absent in older records.
   */
  readonly cached?: boolean;
}

/**
 * One image and the tasks asked of it: the unit of queueing, idempotency, cancel, charge and
 * webhook. Times are milliseconds since 1970.
 */
export interface Run {
  readonly id: string;
  readonly tenantId: string;
  /**
   * Counts the changes of this record: a store replaces a run only if it still has the version that
   * was read.
   */
  readonly version: number;
  readonly status: RunStatus;
  /** Attempts started so far, and so the fencing token of the attempt in progress. */
  readonly attempt: number;
  readonly image: StoredImage;
  readonly model: string;
  readonly tasks: readonly RunTask[];
  readonly imageTimings: ImageTimings | null;
  readonly metadata: unknown;
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
  readonly expiresAt: number;
  /** Who is told when it ends, beside the tenant's endpoints; absent in older records. */
  readonly webhook?: RunWebhook | null;
  /** NONE: deleted, with its picture, soon after it was read or delivered; absent: kept. */
  readonly keep?: "NONE";
  /** The W3C trace context in which it was taken; absent where nobody traces. */
  readonly traceparent?: string | null;
}

/** What travels through the queue: ids only. */
export interface RunMessage {
  readonly version: 1;
  readonly tenantId: string;
  readonly runId: string;
}

/**
 * Everything that can happen to a run. `attempt` is the number the claim handed out: an older
 * attempt's word no longer counts.
 */
export type RunChange =
  | { readonly type: "claim" }
  | {
      readonly type: "finish";
      readonly attempt: number;
      readonly outcomes: readonly TaskOutcome[];
      readonly imageTimings: ImageTimings | null;
    }
  | { readonly type: "giveUp"; readonly message: string }
  | { readonly type: "cancel" }
  | { readonly type: "expire" };

/** From which states a change is allowed; from any other it is refused and nothing changes. */
const allowedFrom: Readonly<Record<RunChange["type"], readonly RunStatus[]>> = {
  claim: ["QUEUED", "PROCESSING"], // PROCESSING: the former worker lost its lease
  finish: ["PROCESSING"],
  giveUp: ["QUEUED", "PROCESSING"],
  cancel: ["QUEUED", "PROCESSING"],
  expire: ["QUEUED"],
};

const terminal: readonly RunStatus[] = [
  "SUCCEEDED",
  "PARTIALLY_SUCCEEDED",
  "FAILED",
  "CANCELED",
  "EXPIRED",
];

/**
 * When a run that keeps nothing is deleted if nobody reads it; null: not of itself, or not yet
 * known.
 */
export function eraseAtOf({ keep, finishedAt }: Pick<Run, "keep" | "finishedAt">): number | null {
  return keep === "NONE" && finishedAt !== null ? finishedAt + limits.run.unreadKeptMs : null;
}

export function isFinished(run: Pick<Run, "status">): boolean {
  return terminal.includes(run.status);
}

/**
 * The run after a change, or null where the change is not allowed: too late, twice, or from an
 * attempt that lost its lease.
 */
export function changeRun(run: Run, change: RunChange, now: number): Run | null {
  if (!allowedFrom[change.type].includes(run.status)) return null;
  const next = { ...run, version: run.version + 1 };
  switch (change.type) {
    case "claim":
      return { ...next, status: "PROCESSING", attempt: run.attempt + 1, startedAt: now };
    case "finish": {
      if (change.attempt !== run.attempt || change.outcomes.length !== run.tasks.length)
        return null;
      const tasks = run.tasks.map((task, i) => ({ ...task, outcome: change.outcomes[i] ?? null }));
      return {
        ...next,
        tasks,
        imageTimings: change.imageTimings,
        status: statusOf(change.outcomes),
        finishedAt: now,
      };
    }
    case "giveUp":
      return {
        ...next,
        tasks: failOpenTasks(run, "ATTEMPTS_EXHAUSTED", change.message),
        status: "FAILED",
        finishedAt: now,
      };
    case "cancel":
      return {
        ...next,
        tasks: failOpenTasks(run, "CANCELED", "The run was canceled."),
        status: "CANCELED",
        finishedAt: now,
      };
    case "expire":
      return { ...next, status: "EXPIRED", finishedAt: now };
  }
}

function statusOf(outcomes: readonly TaskOutcome[]): RunStatus {
  const failed = outcomes.filter((outcome) => outcome.error !== undefined).length;
  if (failed === 0) return "SUCCEEDED";
  return failed === outcomes.length ? "FAILED" : "PARTIALLY_SUCCEEDED";
}

function failOpenTasks(run: Run, code: TaskErrorCode, message: string): RunTask[] {
  return run.tasks.map((task) =>
    task.outcome ? task : { ...task, outcome: { error: { code, message, retryable: true } } },
  );
}
