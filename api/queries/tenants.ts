import { AppError } from "../../core/errors.ts";
import { limits } from "../../core/limits.ts";
import type { RequestContext } from "../context.ts";
import { requirePage } from "../page.ts";

/**
 * A tenant's id is its cursor. Throws AppError INVALID for a page size or cursor that cannot be.
 */
export async function tenants(
  _root: unknown,
  args: { first: number; after?: string | null },
  { ports }: RequestContext,
) {
  const { first, after = null } = args;
  requirePage(first);
  if (after !== null && after.length > limits.request.idMax)
    throw new AppError("INVALID", "This cursor is not one of this list.", {
      path: ["after"],
      fix: "Pass the endCursor of the page before, unchanged.",
    });
  const found = await ports.tenants.list({ first: first + 1, after });
  const edges = found.slice(0, first).map((tenant) => ({ node: tenant, cursor: tenant.id }));
  return {
    edges,
    pageInfo: { hasNextPage: found.length > first, endCursor: edges.at(-1)?.cursor ?? null },
  };
}
