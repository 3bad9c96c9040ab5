import { setTenantDisabled } from "../../core/api-keys.ts";
import { auditedPorts } from "../author.ts";
import type { RequestContext } from "../context.ts";
import { userErrorsOf } from "../user-errors.ts";

type Args = { readonly input: { readonly tenantId: string } };

export async function tenantDisable(_root: unknown, { input }: Args, context: RequestContext) {
  return payload(context, input.tenantId, true);
}

export async function tenantEnable(_root: unknown, { input }: Args, context: RequestContext) {
  return payload(context, input.tenantId, false);
}

async function payload(context: RequestContext, tenantId: string, isDisabled: boolean) {
  try {
    return {
      tenant: await setTenantDisabled(auditedPorts(context), tenantId, isDisabled),
      userErrors: [],
    };
  } catch (error) {
    return { tenant: null, userErrors: userErrorsOf(error, ["input"]) };
  }
}
