import type { Tenant as StoredTenant } from "../../core/tenant.ts";
import type { RequestContext } from "../context.ts";
import { type Span, usageOf } from "../queries/usage.ts";

export const Tenant = {
  apiKeys: (tenant: StoredTenant, _args: unknown, { ports }: RequestContext) =>
    ports.tenants.keys(tenant.id),
  deletion: ({ deletion }: StoredTenant) => deletion && { ...deletion, ...deletion.erased },
  usage: (tenant: StoredTenant, span: Span, context: RequestContext) =>
    usageOf(tenant.id, span, context),
};
