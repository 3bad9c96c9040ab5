import {
  type Delivery,
  deliveriesOf,
  eventOf,
  healthy,
  type WebhookEndpoint,
  type WebhookEvent,
  webhookEventTypes,
} from "../../core/webhook.ts";
import { newRun } from "./new-run.ts";

/** An endpoint of ten_1 that hears of everything, as a store would hold it. */
export function newEndpoint(fields: Partial<WebhookEndpoint> = {}): WebhookEndpoint {
  return {
    id: "whe_1",
    tenantId: "ten_1",
    version: 1,
    url: "https://example.com/hook",
    description: "",
    events: webhookEventTypes,
    payloadQuery: null,
    secrets: [{ sealed: "sealed", createdAt: 0, expiresAt: null }],
    createdAt: 0,
    disabledAt: null,
    disabledReason: null,
    health: healthy,
    ...fields,
  };
}

/** The event that a run of ten_1 succeeded. */
export function newEvent(runId = "run_1", at = 100, tenantId = "ten_1"): WebhookEvent {
  const event = eventOf(newRun({ id: runId, tenantId, status: "SUCCEEDED", finishedAt: at }));
  if (!event) throw new Error("A run that succeeded has an event.");
  return event;
}

/** Its delivery to an endpoint. */
export function newDelivery(fields: Partial<Delivery> = {}, endpointId = "whe_1"): Delivery {
  const { event = newEvent(), createdAt: now = 100, tenantId = "ten_1" } = fields;
  const [delivery] = deliveriesOf(
    { ...event, tenantId },
    { endpoints: [newEndpoint({ id: endpointId })], run: null, now },
  );
  if (!delivery) throw new Error("The endpoint hears of everything.");
  return { ...delivery, ...fields };
}
