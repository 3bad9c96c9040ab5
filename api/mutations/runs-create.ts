import { AppError } from "../../core/errors.ts";
import { limits } from "../../core/limits.ts";
import type { RequestContext } from "../context.ts";
import type { RunCreateInput } from "../run-input.ts";
import { userErrorsOf } from "../user-errors.ts";
import { createIn, openWaitIn, type RunCreatePayload, waitIn } from "./run-create.ts";

/** Each may hold a whole image in memory. */
const atOnceMax = 4;

/** All are created first, so that no item's wait holds up another. */
export async function runsCreate(
  _root: unknown,
  { input: { items } }: { input: { items: readonly RunCreateInput[] } },
  context: RequestContext,
) {
  const { perRequestMax } = limits.run;
  if (items.length < 1 || items.length > perRequestMax) {
    const fault = new AppError("INVALID", `There are ${items.length} items.`, {
      path: ["items"],
      fix: `Give 1 to ${perRequestMax}.`,
    });
    return { items: [], userErrors: userErrorsOf(fault, ["input"]) };
  }
  const first = items.findIndex(({ waitMs }) => waitMs > 0);
  if (first < 0) return { items: await createAll(context, items), userErrors: [] };
  const opened = openWaitIn(context, ["input", "items", String(first)]); // one place, however many items wait
  if ("userErrors" in opened) return { items: [], ...opened };
  const { wait } = opened;
  try {
    const created = await createAll(context, items);
    const waited = created.map((payload, i) => {
      const waitMs = items[i]?.waitMs ?? 0;
      return waitMs > 0 ? waitIn(context, payload, { waitMs, wait }) : payload;
    });
    return { items: await Promise.all(waited), userErrors: [] };
  } finally {
    wait.end();
  }
}

/** A few at a time; payloads stand in input order. */
async function createAll(
  context: RequestContext,
  items: readonly RunCreateInput[],
): Promise<RunCreatePayload[]> {
  const payloads: RunCreatePayload[] = new Array(items.length);
  const open = items.entries(); // one iterator that all takers share
  const takers = Array.from({ length: atOnceMax }, async () => {
    for (const [i, item] of open)
      payloads[i] = await createIn(context, item, ["input", "items", String(i)]);
  });
  await Promise.all(takers);
  return payloads;
}
