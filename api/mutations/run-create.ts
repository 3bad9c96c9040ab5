import type { RequestContext } from "../context.ts";
import { type CreatedRun, createRun, waitForRun } from "../create-run.ts";
import type { RunCreateInput } from "../run-input.ts";
import { type UserError, userErrorsOf } from "../user-errors.ts";

/** The SDL's RunCreatePayload. */
export interface RunCreatePayload {
  readonly run: CreatedRun["run"] | null;
  readonly replayed: boolean;
  readonly userErrors: readonly UserError[];
}

export async function runCreate(
  _root: unknown,
  { input }: { input: RunCreateInput },
  context: RequestContext,
): Promise<RunCreatePayload> {
  return waitIn(context, await createIn(context, input, ["input"]), input.waitMs);
}

/** Creates a run; what is wrong with the input at `path` becomes userErrors. */
export async function createIn(
  context: RequestContext,
  input: RunCreateInput,
  path: readonly string[],
): Promise<RunCreatePayload> {
  try {
    return { ...(await createRun(context, input)), userErrors: [] };
  } catch (error) {
    return { run: null, replayed: false, userErrors: userErrorsOf(error, path) };
  }
}

/** The payload with its run as it is after waiting. */
export async function waitIn(
  context: RequestContext,
  payload: RunCreatePayload,
  waitMs: number,
): Promise<RunCreatePayload> {
  return payload.run
    ? { ...payload, run: await waitForRun(context, payload.run, waitMs) }
    : payload;
}
