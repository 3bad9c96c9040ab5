import { rateLimitOf } from "../budget.ts";
import type { RequestContext } from "../context.ts";

export async function viewer(_root: unknown, _args: unknown, context: RequestContext) {
  const { ports, caller } = context;
  return {
    rateLimit: () => rateLimitOf(context),
    tenant: () => ports.tenants.get(caller.tenantId),
    keyId: caller.keyId,
    scopes: caller.scopes,
  };
}
