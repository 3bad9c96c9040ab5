import { AppError } from "../../core/errors.ts";
import { limits } from "../../core/limits.ts";
import type { Delivery } from "../../core/webhook.ts";
import { restarted } from "../../core/webhook-schedule.ts";
import type { RequestContext } from "../context.ts";
import { noEndpoint } from "./endpoints.ts";

/**
 * Sends again what was given up or held, of events since an instant, the newest first, and no more than `limits.webhook.recoverMax` at once;
 * `hasMore` tells that there are others. Throws AppError NOT_FOUND, INVALID.
 */
export async function recoverDeliveries(
  context: RequestContext,
  endpointId: string,
  since: number,
) {
  const { ports, caller } = context;
  const endpoint = await ports.webhooks.getEndpoint(caller.tenantId, endpointId);
  if (!endpoint) throw noEndpoint();
  if (endpoint.disabledAt !== null) {
    throw new AppError("INVALID", "The endpoint is disabled.", {
      path: ["endpointId"],
      fix: "Enable it first, with webhookEndpointEnable.",
    });
  }
  const lost: Delivery[] = [];
  for (const status of ["FAILED", "HELD"] as const) {
    const filter = { endpointId, runId: null, status };
    for (
      let after: string | null = null, isMore = true;
      isMore && lost.length <= limits.webhook.recoverMax;
    ) {
      const page = await ports.webhooks.deliveries(caller.tenantId, {
        ...filter,
        first: limits.page.firstMax,
        after,
      });
      const recent = page.deliveries.filter(({ event }) => event.at >= since);
      lost.push(...recent);
      const last = page.deliveries.at(-1);
      isMore = page.hasNextPage && last !== undefined && last.createdAt >= since;
      after = last ? page.cursorOf(last) : null;
    }
  }
  let recovered = 0;
  for (const delivery of lost.slice(0, limits.webhook.recoverMax)) {
    if (await ports.webhooks.replaceDelivery(restarted(delivery, ports.clock.now())))
      recovered += 1;
  }
  return { recovered, hasMore: lost.length > limits.webhook.recoverMax };
}

/** Sends one delivery again, whatever became of it. Throws AppError NOT_FOUND, INVALID (its endpoint is disabled). */
export async function redeliver({ ports, caller }: RequestContext, deliveryId: string) {
  for (;;) {
    const delivery = await ports.webhooks.getDelivery(caller.tenantId, deliveryId);
    if (!delivery)
      throw new AppError("NOT_FOUND", "There is no such delivery.", { path: ["deliveryId"] });
    const { endpointId } = delivery;
    const endpoint =
      endpointId === null ? null : await ports.webhooks.getEndpoint(caller.tenantId, endpointId);
    if (endpoint && endpoint.disabledAt !== null) {
      throw new AppError("INVALID", "Its endpoint is disabled.", {
        path: ["deliveryId"],
        fix: "Enable it first, with webhookEndpointEnable.",
      });
    }
    const again = restarted(delivery, ports.clock.now());
    if (await ports.webhooks.replaceDelivery(again)) return again;
  }
}
