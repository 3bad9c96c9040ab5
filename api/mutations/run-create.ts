import type { RequestContext } from "../context.ts";
import { type CreatedRun, createRun, waitForRun } from "../create-run.ts";
import type { OpenWait } from "../open-waits.ts";
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
  if (input.waitMs <= 0) return createIn(context, input, ["input"]);
  const opened = openWaitIn(context, ["input"]);
  if ("userErrors" in opened) return { run: null, replayed: false, ...opened };
  const { wait } = opened;
  try {
    const payload = await createIn(context, input, ["input"]);
    return await waitIn(context, payload, { waitMs: input.waitMs, wait });
  } finally {
    wait.end();
  }
}

/** A place among the key's open waits, taken before anything is created; or why there is none. */
export function openWaitIn(
  context: RequestContext,
  path: readonly string[],
): { readonly wait: OpenWait } | { readonly userErrors: readonly UserError[] } {
  try {
    return { wait: context.admission.openWait() };
  } catch (error) {
    return { userErrors: userErrorsOf(error, path) };
  }
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
  waiting: { waitMs: number; wait: OpenWait },
): Promise<RunCreatePayload> {
  return payload.run
    ? { ...payload, run: await waitForRun(context, payload.run, waiting) }
    : payload;
}
