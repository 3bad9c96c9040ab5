import { auditEntry } from "../../core/audit.ts";
import { AppError } from "../../core/errors.ts";
import { limits } from "../../core/limits.ts";
import type { Delivery } from "../../core/webhook.ts";
import { restarted } from "../../core/webhook-schedule.ts";
import { authorOf } from "../author.ts";
import type { RequestContext } from "../context.ts";
import { entryOf, noEndpoint } from "./endpoints.ts";

/**
 * Sends again what was given up or held, of events since an instant, the newest first, and no more
 * than `limits.webhook.recoverMax` at once; `hasMore` tells that there are others. Throws AppError
 * NOT_FOUND, INVALID.
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
  // Before the change, for which there may be many transactions.
  const details = { since: new Date(since).toISOString(), found: lost.length };
  await ports.audit.append(entryOf(context, "webhookEndpoint.recover", { endpointId, details }));
  let recovered = 0;
  for (const delivery of lost.slice(0, limits.webhook.recoverMax)) {
    if (await ports.webhooks.replaceDelivery(restarted(delivery, ports.clock.now())))
      recovered += 1;
  }
  return { recovered, hasMore: lost.length > limits.webhook.recoverMax };
}

/**
 * Sends one delivery again, whatever became of it. Throws AppError NOT_FOUND, INVALID (its endpoint
 * is disabled).
 */
export async function redeliver(context: RequestContext, deliveryId: string) {
  const { ports, caller } = context;
  let isNoted = false;
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
    if (!isNoted) {
      const subject = { type: "WebhookDelivery", id: deliveryId, tenantId: caller.tenantId };
      const by = { clock: ports.clock, by: authorOf(context) };
      await ports.audit.append(auditEntry(by, "webhookDelivery.redeliver", { subject }));
      isNoted = true;
    }
    const again = restarted(delivery, ports.clock.now());
    if (await ports.webhooks.replaceDelivery(again)) return again;
  }
}
