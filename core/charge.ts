import type { TaskName } from "../schema/task.ts";
import { isFinished, type Run } from "./run.ts";

/**
 * What one answered task is charged for: a row of the ledger, which is written once, with the end
 * of its run, and never changed.
 */
export interface Charge {
  readonly tenantId: string;
  readonly runId: string;
  /** The task's place in its run. */
  readonly task: number;
  readonly name: TaskName;
  /** When the run ended. */
  readonly at: number;
  /** 1 on the first charged task of a run whose image went through the vision encoder, else 0. */
  readonly encodings: number;
  readonly tokens: number;
  /** In units of work. */
  readonly cost: number;
}

/** Sums of charges. */
export interface Usage {
  readonly runs: number;
  readonly tasks: number;
  readonly encodings: number;
  readonly tokens: number;
  readonly cost: number;
}

/**
 * Units of work: an image through the vision encoder, a prompt through the encoder, an answer's
 * token. The proportions are those of Florence-2-base in bench/results.md (988, 196 and 9 ms).
 */
export const units = { encoding: 100, prompt: 20, token: 1 } as const;

/**
 * The charges of a run as it has ended: one for each task with a result. What failed, was canceled
 * or expired is free.
 */
export function chargesOf(run: Run): Charge[] {
  const { tenantId, id: runId, finishedAt } = run;
  if (!isFinished(run) || finishedAt === null) return [];
  const answered = run.tasks.flatMap(({ name, outcome }, task) =>
    outcome?.result ? [{ name, task, tokens: outcome.timings.tokens }] : [],
  );
  return answered.map(({ name, task, tokens }, i) => {
    const encodings = i === 0 && run.imageTimings?.cached !== true ? 1 : 0;
    const cost = encodings * units.encoding + units.prompt + tokens * units.token;
    return { tenantId, runId, task, name, at: finishedAt, encodings, tokens, cost };
  });
}
