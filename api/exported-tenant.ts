import { AppError } from "../core/errors.ts";
import type { Tenant } from "../core/tenant.ts";
import type { RequestContext } from "./context.ts";

/** The caller's tenant, or for operators any. Throws AppError NOT_FOUND. */
export async function exportedTenant(
  { ports, caller }: RequestContext,
  tenantId: string | null,
): Promise<Tenant> {
  const id = tenantId ?? caller.tenantId;
  const mayRead = id === caller.tenantId || caller.scopes.includes("OPERATOR");
  const tenant = mayRead ? await ports.tenants.get(id) : null;
  if (tenant) return tenant;
  throw new AppError("NOT_FOUND", "There is no such tenant.", {
    path: ["tenantId"],
    fix: "Leave it out for the tenant of this key; OPERATOR may name any.",
  });
}
