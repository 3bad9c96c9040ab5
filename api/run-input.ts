import { AppError } from "../core/errors.ts";
import { exactFault } from "../core/exact.ts";
import { limits } from "../core/limits.ts";
import type { ModelInfo } from "../core/ports.ts";
import type { Size } from "../schema/geometry.ts";
import { type CatalogueTask, taskByField } from "../schema/tasks.ts";
import type { ImageSource } from "./intake.ts";
import type { RunWebhookInput } from "./webhooks/run-webhook.ts";

/** The SDL's RunCreateInput, defaults filled in. */
export interface RunCreateInput {
  readonly source: ImageSource;
  /** Each with exactly one field. */
  readonly tasks: readonly Readonly<Record<string, Readonly<Record<string, unknown>>>>[];
  /** An id, `id@revision` or an alias. */
  readonly model?: string | null;
  readonly idempotencyKey?: string | null;
  readonly waitMs: number;
  readonly expiresInSeconds: number;
  readonly metadata?: unknown;
  readonly webhook?: RunWebhookInput | null;
  readonly keep: "ALL" | "NONE";
}

/** A task that is asked for, the value of its field, and the field's place in the input. */
interface AskedTask {
  readonly task: CatalogueTask;
  readonly value: Readonly<Record<string, unknown>>;
  readonly path: readonly string[];
}

/** One element of `tasks`. */
export function readTask(input: RunCreateInput["tasks"][number], index: number): AskedTask {
  const [field = "", value = {}] = Object.entries(input)[0] ?? [];
  const task = taskByField(field);
  if (!task) throw new Error(`The SDL has a task that the catalogue lacks: ${field}.`);
  return { task, value, path: ["tasks", String(index), field] };
}

/** What of the input is outside the bounds that hold for every image and model. */
export function boundFaults({ metadata, ...others }: RunCreateInput): (AppError | null)[] {
  const { tasks, waitMs, expiresInSeconds, idempotencyKey } = others;
  const broken = [
    exactFault(others, []),
    exactFault(metadata, ["metadata"], limits.run.metadataDepthMax),
  ].filter((fault) => fault !== null);
  if (broken.length > 0) return broken;
  const { tasksMax, waitMsMax, expiresInSecondsMax, idempotencyKeyMax, metadataBytesMax } =
    limits.run;
  return [
    boundFault("tasks", tasks.length, { min: 1, max: tasksMax, of: "tasks" }),
    boundFault("waitMs", waitMs, { min: 0, max: waitMsMax, of: "milliseconds" }),
    boundFault("expiresInSeconds", expiresInSeconds, {
      min: 1,
      max: expiresInSecondsMax,
      of: "seconds",
    }),
    boundFault("idempotencyKey", idempotencyKey?.length ?? 1, {
      min: 1,
      max: idempotencyKeyMax,
      of: "characters",
    }),
    boundFault("metadata", Buffer.byteLength(JSON.stringify(metadata ?? null)), {
      min: 0,
      max: metadataBytesMax,
      of: "bytes of JSON",
    }),
  ];
}

function boundFault(
  field: string,
  value: number,
  { min, max, of }: { min: number; max: number; of: string },
): AppError | null {
  if (value >= min && value <= max) return null;
  return new AppError("INVALID", `"${field}": ${value} ${of} are out of bounds.`, {
    path: [field],
    fix: `Give ${min} to ${max} ${of}.`,
  });
}

/** Whether the model cannot do a task. */
export function supportFault({ task, path }: AskedTask, model: ModelInfo): AppError | null {
  if (model.tasks.includes(task.name)) return null;
  return new AppError("TASK_UNSUPPORTED", `The model ${model.id} cannot do ${task.name}.`, {
    path,
    fix: `It can do: ${model.tasks.join(", ")}.`,
  });
}

/** What of a task's input does not fit the image. */
export function inputFault({ task, value, path }: AskedTask, image: Size): AppError | null {
  const fault = task.check(value, image);
  return (
    fault &&
    new AppError("INVALID", fault.message, { path: [...path, ...fault.path], fix: fault.fix })
  );
}
