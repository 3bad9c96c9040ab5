import type { Tenant as StoredTenant } from "../../core/tenant.ts";
import type { RequestContext } from "../context.ts";

export const Tenant = {
  apiKeys: (tenant: StoredTenant, _args: unknown, { ports }: RequestContext) => ports.tenants.keys(tenant.id),
};
