import { asAppError, asTenantError, type ErrorCode } from "../core/errors.ts";
import type { Engine, EngineAnswer, Sight } from "../core/ports.ts";
import type { ImageTimings, TaskErrorCode, TaskOutcome } from "../core/run.ts";
import type { Size } from "../schema/geometry.ts";
import type { GenerateOptions, Question, TaskName } from "../schema/task.ts";
import { type CatalogueTask, taskByName } from "../schema/tasks.ts";

export interface TaskRequest {
  readonly name: TaskName;
  readonly input: Readonly<Record<string, unknown>>;
}

export interface ImageAnswers {
  /** Of the oriented image; null where it could not be read. */
  readonly size: Size | null;
  readonly imageTimings: ImageTimings | null;
  /** One for each task, in order. */
  readonly outcomes: TaskOutcome[];
}

/**
 * Answers all tasks about one image. The image is encoded once; all questions go through the model
 * as one batch, after a first batch for tasks that need a preparatory answer. A task that fails
 * leaves its siblings alone; an unreadable image fails every task. Throws AppError CANCELED when
 * aborted, MODEL_UNAVAILABLE where the model cannot be loaded.
 */
export async function answerTasks(
  engine: Engine,
  request: { model: string; bytes: Uint8Array; tasks: readonly TaskRequest[] },
  signal?: AbortSignal,
): Promise<ImageAnswers> {
  const [sight] = await engine.see(request.model, [request.bytes], signal);
  if (!sight || sight instanceof Error) {
    const outcome = failed(sight ?? new Error("The engine returned no image features."));
    return { size: null, imageTimings: null, outcomes: request.tasks.map(() => outcome) };
  }
  const { model, tasks } = request;
  return {
    size: sight.size,
    imageTimings: sight.timings,
    outcomes: await answerSeen(engine, { model, sight, tasks }, signal),
  };
}

/** Answers all tasks about an image that was seen, as answerTasks does. */
export async function answerSeen(
  engine: Engine,
  request: { model: string; sight: Sight; tasks: readonly TaskRequest[] },
  signal?: AbortSignal,
): Promise<TaskOutcome[]> {
  const { model, sight } = request;
  const { size } = sight;
  const plans = request.tasks.map((task) => plan(task, size));
  const ask = (questions: (Question | null)[]) =>
    askAll(engine, { model, sight, plans, questions }, signal);

  const prepared = await ask(
    plans.map((plan) => (plan.fault ? null : plan.task.prepare(plan.input))),
  );
  const questions = plans.map((plan, i) => {
    if (plan.fault) return null;
    const first = prepared[i];
    return first?.error ? null : plan.task.ask(plan.input, size, first?.answer?.text ?? null);
  });
  const answers = await ask(questions);
  return plans.map((plan, i): TaskOutcome => {
    if (plan.fault) return plan.fault;
    const question = questions[i];
    const answer = answers[i]?.answer;
    if (!question || !answer)
      return failed(
        prepared[i]?.error ?? answers[i]?.error ?? new Error("The engine returned no answer."),
      );
    return read(question, answer, size);
  });
}

interface Plan {
  readonly task: CatalogueTask;
  readonly input: TaskRequest["input"];
  readonly options: GenerateOptions;
  readonly fault: TaskOutcome | null;
}

function plan(request: TaskRequest, size: Size): Plan {
  const task = taskByName(request.name);
  const { input } = request; // checked against the SDL's input type when the run was created
  const fault = task.check(input, size);
  return {
    task,
    input,
    options: (input.options ?? {}) as GenerateOptions,
    fault: fault && {
      error: { code: "INVALID", message: `${fault.message} ${fault.fix}`, retryable: false },
    },
  };
}

interface Asked {
  readonly answer?: EngineAnswer;
  readonly error?: unknown;
}

/**
 * Answers the questions that there are. Where the batch fails, each is asked again alone, so that
 * one bad prompt fails alone.
 */
async function askAll(
  engine: Engine,
  batch: {
    model: string;
    sight: Sight;
    plans: readonly Plan[];
    questions: readonly (Question | null)[];
  },
  signal?: AbortSignal,
): Promise<Asked[]> {
  const asked: Asked[] = batch.questions.map(() => ({}));
  const open = batch.questions.flatMap((question, i) => {
    const options = batch.plans[i]?.options ?? {};
    return question
      ? [
          {
            i,
            prompt: {
              sight: batch.sight,
              prompt: question.prompt,
              locationGroup: question.locationGroup,
              options,
            },
          },
        ]
      : [];
  });
  const put = (items: typeof open, answers: readonly EngineAnswer[]) => {
    items.forEach((item, k) => {
      const answer = answers[k];
      if (answer) asked[item.i] = { answer };
    });
  };
  if (open.length === 0) return asked;
  const prompts = (items: typeof open) => items.map((item) => item.prompt);
  try {
    put(open, await engine.answer(batch.model, prompts(open), signal));
  } catch (error) {
    if (concernsAll(error) || signal?.aborted) throw error;
    if (open.length === 1 && open[0]) asked[open[0].i] = { error };
    else
      for (const item of open) {
        const alone = await askAll(
          engine,
          { ...batch, questions: batch.questions.map((q, i) => (i === item.i ? q : null)) },
          signal,
        );
        asked[item.i] = alone[item.i] ?? {};
      }
  }
  return asked;
}

/**
 * Whether a failure would be the same for every prompt, so that to ask one of them alone is of no
 * use.
 */
export function concernsAll(error: unknown): boolean {
  const { code } = asAppError(error);
  return code === "CANCELED" || code === "MODEL_UNAVAILABLE" || code === "MODEL_NOT_FOUND";
}

function read(question: Question, answer: EngineAnswer, size: Size): TaskOutcome {
  const started = performance.now();
  const { result, remainder } = question.read(answer, size);
  const { encodeMs, generateMs, tokens } = answer.timings;
  const { id, ...made } = answer.model;
  return {
    result,
    remainder,
    finish: answer.finish,
    raw: answer.text,
    timings: { encodeMs, generateMs, tokens, parseMs: performance.now() - started },
    provenance: { model: id, ...made, beams: answer.beams, prompt: question.prompt },
  };
}

const shown: Partial<Record<ErrorCode, TaskErrorCode>> = {
  INVALID: "INVALID",
  SOURCE_CORRUPT: "SOURCE_CORRUPT",
  SOURCE_UNSUPPORTED: "SOURCE_CORRUPT",
  SOURCE_TOO_LARGE: "SOURCE_CORRUPT",
  MODEL_UNAVAILABLE: "MODEL_UNAVAILABLE",
  MODEL_NOT_FOUND: "MODEL_UNAVAILABLE",
  CANCELED: "CANCELED",
};

/**
 * A failure as a task's outcome. What is not an AppError is the model's own (an ONNX Runtime
 * message), and stays out of sight.
 */
export function failed(error: unknown): TaskOutcome {
  const known = asAppError(error);
  const code = known.code === "INTERNAL" ? "MODEL_FAILED" : (shown[known.code] ?? "INTERNAL");
  const message =
    known.code === "INTERNAL" ? "The model failed on this task." : asTenantError(known).message;
  return { error: { code, message, retryable: known.retryable } };
}
