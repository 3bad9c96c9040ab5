import { createHmac } from "node:crypto";
import { auditEntry } from "../../core/audit.ts";
import { AppError } from "../../core/errors.ts";
import type { Tenant } from "../../core/tenant.ts";
import { type ExportPlace, exportKinds, exportPage } from "../../core/tenant-export.ts";
import { authorOf } from "../author.ts";
import type { RequestContext } from "../context.ts";
import { exportedTenant } from "../exported-tenant.ts";
import { requirePage } from "../page.ts";
import { userErrorsOf } from "../user-errors.ts";

interface Args {
  readonly input: {
    readonly tenantId?: string | null;
    readonly first: number;
    readonly after?: string | null;
  };
}

/**
 * The first page leaves an entry in the audit log; the cursors of the others are signed, so that
 * none comes without it.
 */
export async function tenantExport(_root: unknown, { input }: Args, context: RequestContext) {
  try {
    const { first, after = null } = input;
    requirePage(first);
    const tenant = await exportedTenant(context, input.tenantId ?? null);
    const place = after === null ? null : placeOf(context, tenant, after);
    if (place === null) await note(context, tenant);
    const isOperator = context.caller.scopes.includes("OPERATOR");
    const { records, next } = await exportPage(context.ports, tenant, { first, place, isOperator });
    const endCursor = next && cursorOf(context, tenant, next);
    return { records, pageInfo: { hasNextPage: next !== null, endCursor }, userErrors: [] };
  } catch (error) {
    return { records: null, pageInfo: null, userErrors: userErrorsOf(error, ["input"]) };
  }
}

function note(context: RequestContext, { id }: Tenant): Promise<void> {
  const by = { clock: context.ports.clock, by: authorOf(context) };
  const subject = { type: "Tenant", id, tenantId: id };
  return context.ports.audit.append(auditEntry(by, "tenant.export", { subject }));
}

function cursorOf(context: RequestContext, tenant: Tenant, { kind, after }: ExportPlace): string {
  const text = JSON.stringify([kind, after]);
  return `${Buffer.from(text).toString("base64url")}.${signature(context, tenant, text)}`;
}

/** Throws AppError INVALID for what `cursorOf` did not make. */
function placeOf(context: RequestContext, tenant: Tenant, cursor: string): ExportPlace {
  const [encoded = "", signed] = cursor.split(".");
  const text = Buffer.from(encoded, "base64url").toString();
  if (signed === signature(context, tenant, text)) {
    const [kind, after] = JSON.parse(text);
    const known = exportKinds.find((each) => each === kind);
    if (known) return { kind: known, after };
  }
  throw new AppError("INVALID", "This cursor is not one of this export.", {
    path: ["after"],
    fix: "Pass the endCursor of the page before, unchanged.",
  });
}

function signature({ pepper }: RequestContext, { id }: Tenant, text: string): string {
  return createHmac("sha256", pepper).update(`export ${id} ${text}`).digest("base64url");
}
