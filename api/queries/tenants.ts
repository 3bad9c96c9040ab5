import type { RequestContext } from "../context.ts";
import { requirePage } from "../page.ts";

/** A tenant's id is its cursor. Throws AppError INVALID for a page size that cannot be. */
export async function tenants(
  _root: unknown,
  args: { first: number; after?: string | null },
  { ports }: RequestContext,
) {
  const { first, after = null } = args;
  requirePage(first);
  const found = await ports.tenants.list({ first: first + 1, after });
  const edges = found.slice(0, first).map((tenant) => ({ node: tenant, cursor: tenant.id }));
  return {
    edges,
    pageInfo: { hasNextPage: found.length > first, endCursor: edges.at(-1)?.cursor ?? null },
  };
}
