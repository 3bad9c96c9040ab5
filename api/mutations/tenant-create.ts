import { createTenant } from "../../core/api-keys.ts";
import { auditedPorts } from "../author.ts";
import type { RequestContext } from "../context.ts";
import { userErrorsOf } from "../user-errors.ts";

export async function tenantCreate(
  _root: unknown,
  { input }: { input: { name: string } },
  context: RequestContext,
) {
  try {
    return { tenant: await createTenant(auditedPorts(context), input.name), userErrors: [] };
  } catch (error) {
    return { tenant: null, userErrors: userErrorsOf(error, ["input"]) };
  }
}
