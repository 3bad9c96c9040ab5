import type {
  Delivery,
  WebhookEventType as EventType,
  WebhookEndpoint as StoredEndpoint,
} from "../../core/webhook.ts";
import type { RequestContext } from "../context.ts";

/** The SDL's names of the types of events. */
export const WebhookEventType: Readonly<Record<string, EventType>> = {
  RUN_SUCCEEDED: "run.succeeded",
  RUN_PARTIALLY_SUCCEEDED: "run.partially_succeeded",
  RUN_FAILED: "run.failed",
  RUN_CANCELED: "run.canceled",
  RUN_EXPIRED: "run.expired",
  ENDPOINT_DISABLED: "endpoint.disabled",
};

export const WebhookEndpoint = {
  secrets: ({ secrets }: StoredEndpoint, _args: unknown, { ports }: RequestContext) =>
    secrets.filter(({ expiresAt }) => expiresAt === null || ports.clock.now() < expiresAt),
  failingSince: ({ health }: StoredEndpoint) => health.failingSince,
  pausedUntil: ({ health }: StoredEndpoint) => health.pausedUntil,
};

export const WebhookDelivery = {
  eventId: ({ event }: Delivery) => event.id,
  eventType: ({ event }: Delivery) => event.type,
  eventAt: ({ event }: Delivery) => event.at,
  runId: ({ event: { subject } }: Delivery) => ("runId" in subject ? subject.runId : null),
};
