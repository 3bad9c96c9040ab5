import type { RequestContext } from "../context.ts";

export async function viewer(_root: unknown, _args: unknown, { ports, caller }: RequestContext) {
  return { tenant: () => ports.tenants.get(caller.tenantId), keyId: caller.keyId, scopes: caller.scopes };
}
