import type { RunStatus } from "../../core/run.ts";
import type { RequestContext } from "../context.ts";
import { requirePage } from "../page.ts";

interface RunsArgs {
  readonly first: number;
  readonly after?: string | null;
  readonly status?: readonly RunStatus[] | null;
}

/** Throws AppError INVALID for a page size or cursor that cannot be. */
export async function runs(
  _root: unknown,
  { first, after = null, status = null }: RunsArgs,
  { ports, caller }: RequestContext,
) {
  requirePage(first);
  const page = await ports.runs.list(caller.tenantId, { first, after, status });
  const edges = page.runs.map((run) => ({ node: run, cursor: page.cursorOf(run) }));
  return {
    edges,
    pageInfo: { hasNextPage: page.hasNextPage, endCursor: edges.at(-1)?.cursor ?? null },
  };
}
