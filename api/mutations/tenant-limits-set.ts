import { setTenantLimits } from "../../core/set-tenant-limits.ts";
import type { TenantLimitsChange } from "../../core/tenant-limits.ts";
import { auditedPorts } from "../author.ts";
import type { RequestContext } from "../context.ts";
import { userErrorsOf } from "../user-errors.ts";

interface Args {
  readonly input: TenantLimitsChange & { readonly tenantId: string };
}

/** Null clears a limit, and one that is absent stays. */
export async function tenantLimitsSet(_root: unknown, { input }: Args, context: RequestContext) {
  const { tenantId, ...change } = input;
  try {
    return {
      tenant: await setTenantLimits(auditedPorts(context), tenantId, change),
      userErrors: [],
    };
  } catch (error) {
    return { tenant: null, userErrors: userErrorsOf(error, ["input"]) };
  }
}
