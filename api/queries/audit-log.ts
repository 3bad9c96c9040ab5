import { type AuditAction, auditActions } from "../../core/audit.ts";
import { AppError } from "../../core/errors.ts";
import type { RequestContext } from "../context.ts";
import { requirePage } from "../page.ts";

interface Filter {
  readonly tenantId?: string | null;
  readonly keyId?: string | null;
  readonly action?: string | null;
  readonly subjectId?: string | null;
  readonly from?: number | null;
  readonly to?: number | null;
}

interface Args {
  readonly first: number;
  readonly after?: string | null;
  readonly filter?: Filter | null;
}

/** Throws AppError INVALID for a page size, a cursor, an action or a span that cannot be. */
export async function auditLog(
  _root: unknown,
  { first, after = null, filter }: Args,
  { ports }: RequestContext,
) {
  requirePage(first);
  const { tenantId = null, keyId = null, subjectId = null, from = null, to = null } = filter ?? {};
  if (from !== null && to !== null && from > to)
    throw new AppError("INVALID", `"from" is later than "to".`, { fix: "Swap them." });
  const action = actionOf(filter?.action ?? null);
  const given = { tenantId, keyId, action, subjectId, from, to };
  const page = await ports.audit.list({ ...given, first, after });
  const edges = page.entries.map((entry) => ({ node: entry, cursor: page.cursorOf(entry) }));
  return {
    edges,
    pageInfo: { hasNextPage: page.hasNextPage, endCursor: edges.at(-1)?.cursor ?? null },
  };
}

function actionOf(text: string | null): AuditAction | null {
  const known = auditActions.find((action) => action === text);
  if (text === null || known) return known ?? null;
  throw new AppError("INVALID", "The audit log has no such action.", {
    fix: `Give one of ${auditActions.join(", ")}.`,
  });
}
