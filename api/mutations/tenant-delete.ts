import { deleteTenant } from "../../core/delete-tenant.ts";
import { auditedPorts } from "../author.ts";
import type { RequestContext } from "../context.ts";
import { userErrorsOf } from "../user-errors.ts";

export async function tenantDelete(
  _root: unknown,
  { input }: { input: { tenantId: string } },
  context: RequestContext,
) {
  try {
    return { tenant: await deleteTenant(auditedPorts(context), input.tenantId), userErrors: [] };
  } catch (error) {
    return { tenant: null, userErrors: userErrorsOf(error, ["input"]) };
  }
}
