import { AppError } from "../../core/errors.ts";
import type { Engine, Sight } from "../../core/ports.ts";
import type { AnswerToken } from "../../schema/answer.ts";
import type { TaskResult } from "../../schema/result.ts";
import type { GenerateOptions, TaskName } from "../../schema/task.ts";
import type { CommonQuestion } from "./questions.ts";

/** A model to be heard. */
export interface Party {
  readonly engine: Engine;
  readonly model: string;
}

/** An image in a file or elsewhere. */
export interface Picture {
  readonly name: string;
  read(): Promise<Uint8Array>;
}

export interface Interview {
  readonly questions: readonly CommonQuestion[];
  readonly options: GenerateOptions;
}

/** What a model sees in one picture and says to the questions about it. */
export interface Observation {
  /** [N, D] */
  readonly features: Float32Array;
  /** In the order of the questions. */
  readonly answers: readonly ObservedAnswer[];
  /** By the clock on the wall. */
  readonly seeMs: number;
  readonly answerMs: number;
}

export interface ObservedAnswer {
  readonly task: TaskName;
  readonly text: string;
  readonly tokens: readonly AnswerToken[];
  readonly result: TaskResult;
}

/**
 * How models are asked: bounded, and without a ban on repetition, which would hide one difference
 * behind another.
 */
export const interviewOptions = {
  beams: 1,
  maxTokens: 128,
  noRepeatNgramSize: 0,
  lengthPenalty: 1,
} as const;

/**
 * Shows a picture to a model and asks all questions about it as one batch. Throws AppError: what is
 * wrong with the picture, CANCELED, MODEL_FAILED where numbers come out that are none.
 */
export async function observe(party: Party, picture: Picture, run: Run): Promise<Observation> {
  const bytes = await picture.read();
  const started = performance.now();
  const [sight] = await party.engine.see(party.model, [bytes], run.signal);
  if (!sight || sight instanceof Error) throw unseen(picture, sight);
  const seeMs = performance.now() - started;
  const [answers = []] = await askAbout(party, [sight], run);
  return {
    features: sight.features,
    answers,
    seeMs,
    answerMs: performance.now() - started - seeMs,
  };
}

/**
 * Asks all questions about each sight, all of them as one batch. Throws AppError CANCELED,
 * MODEL_FAILED.
 */
export async function askAbout(
  { engine, model }: Party,
  sights: readonly Sight[],
  run: Run,
): Promise<ObservedAnswer[][]> {
  const asked = sights.flatMap((sight) =>
    run.questions.map(({ task, ask }) => ({ sight, task, question: ask(sight.size) })),
  );
  const prompts = asked.map(({ sight, question: { prompt, locationGroup } }) => ({
    sight,
    prompt,
    locationGroup,
    options: run.options,
  }));
  const answers = await engine.answer(model, prompts, run.signal);
  const numbers = answers.map(({ tokens }) => tokens.map(({ logProbability }) => logProbability));
  refuseNoNumbers(model, [...sights.map(({ features }) => features), ...numbers]);
  return sights.map((sight) =>
    asked.flatMap((one, i): ObservedAnswer[] => {
      const answer = answers[i];
      if (one.sight !== sight || !answer) return [];
      return [
        {
          task: one.task,
          text: answer.text,
          tokens: answer.tokens,
          result: one.question.read(answer, sight.size).result,
        },
      ];
    }),
  );
}

type Run = Interview & { readonly signal?: AbortSignal | undefined };

function refuseNoNumbers(
  model: string,
  values: readonly (Float32Array | readonly number[])[],
): void {
  if (values.every((numbers) => numbers.every(Number.isFinite))) return;
  throw new AppError(
    "MODEL_FAILED",
    `The model ${model} computes numbers that are infinite or none.`,
    {
      fix: "Choose a precision with a wider range: float16 ends at 65504. Where it is fp32, the checkpoint is damaged.",
    },
  );
}

function unseen({ name }: Picture, error: Error | undefined): Error {
  if (!(error instanceof AppError))
    return error ?? new AppError("INTERNAL", "The engine returned no image features.");
  return new AppError(error.code, `${name}: ${error.message}`, {
    ...(error.fix === null ? {} : { fix: error.fix }),
    cause: error,
  });
}
