import type { RequestContext } from "../context.ts";

export async function webhookEndpoint(
  _root: unknown,
  { id }: { id: string },
  { ports, caller }: RequestContext,
) {
  return ports.webhooks.getEndpoint(caller.tenantId, id);
}

export async function webhookEndpoints(
  _root: unknown,
  _args: unknown,
  { ports, caller }: RequestContext,
) {
  return ports.webhooks.endpoints(caller.tenantId);
}
