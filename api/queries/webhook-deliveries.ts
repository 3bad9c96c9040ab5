import type { DeliveryStatus } from "../../core/webhook.ts";
import type { RequestContext } from "../context.ts";
import { requirePage } from "../page.ts";

interface DeliveriesArgs {
  readonly first: number;
  readonly after?: string | null;
  readonly endpointId?: string | null;
  readonly runId?: string | null;
  readonly status?: DeliveryStatus | null;
}

export async function webhookDelivery(
  _root: unknown,
  { id }: { id: string },
  { ports, caller }: RequestContext,
) {
  return ports.webhooks.getDelivery(caller.tenantId, id);
}

/** Throws AppError INVALID for a page size or cursor that cannot be. */
export async function webhookDeliveries(
  _root: unknown,
  args: DeliveriesArgs,
  { ports, caller }: RequestContext,
) {
  const { first, after = null, endpointId = null, runId = null, status = null } = args;
  requirePage(first);
  const page = await ports.webhooks.deliveries(caller.tenantId, {
    first,
    after,
    endpointId,
    runId,
    status,
  });
  const edges = page.deliveries.map((delivery) => ({
    node: delivery,
    cursor: page.cursorOf(delivery),
  }));
  return {
    edges,
    pageInfo: { hasNextPage: page.hasNextPage, endCursor: edges.at(-1)?.cursor ?? null },
  };
}
