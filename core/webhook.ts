import { createHash } from "node:crypto";
import { isFinished, type Run, type RunStatus } from "./run.ts";
import { randomBase62 } from "./tenant.ts";

/** What webhooks tell of. */
export const webhookEventTypes = [
  "run.succeeded",
  "run.partially_succeeded",
  "run.failed",
  "run.canceled",
  "run.expired",
  "endpoint.disabled",
] as const;
export type WebhookEventType = (typeof webhookEventTypes)[number];

/**
 * Something that happened to a tenant, once. A store writes a run's event in the transaction of the
 * run's end.
 */
export interface WebhookEvent {
  /** The `webhook-id` of every delivery, however often it is tried. */
  readonly id: string;
  readonly tenantId: string;
  readonly type: WebhookEventType;
  readonly at: number;
  /** The run that ended, or the endpoint that was disabled, and why. */
  readonly subject:
    | { readonly runId: string }
    | { readonly endpointId: string; readonly url: string; readonly reason: string };
}

/** Where a tenant wants to hear of events. */
export interface WebhookEndpoint {
  readonly id: string;
  readonly tenantId: string;
  /** Counts the changes, as a run's. */
  readonly version: number;
  readonly url: string;
  readonly description: string;
  readonly events: readonly WebhookEventType[];
  /** A GraphQL selection on Run that makes the payload; null: the thin one. */
  readonly payloadQuery: string | null;
  /**
   * Whether the key that set the URL or the payload query may read runs; if not, payloads hold no
   * metadata. Absent in older records: true.
   */
  readonly readsRuns?: boolean;
  /** Newest first: one, or two for a while after a rotation. */
  readonly secrets: readonly WebhookSecret[];
  readonly createdAt: number;
  readonly disabledAt: number | null;
  readonly disabledReason: string | null;
  readonly health: EndpointHealth;
}

export interface WebhookSecret {
  /** As `seal` in webhook-secret.ts leaves it. */
  readonly sealed: string;
  readonly createdAt: number;
  /** From then on nothing is signed with it; null: until it is rotated. */
  readonly expiresAt: number | null;
}

export interface EndpointHealth {
  /**
   * When the first of the failures since the last success was; null where the last delivery
   * succeeded.
   */
  readonly failingSince: number | null;
  /** In a row. */
  readonly failures: number;
  /** The circuit is open: nothing is sent before; null: closed. */
  readonly pausedUntil: number | null;
}

export const healthy: EndpointHealth = { failingSince: null, failures: 0, pausedUntil: null };

/**
 * PENDING: it will be tried (again); HELD: its endpoint is disabled, and it waits until it is
 * recovered; FAILED: given up.
 */
export type DeliveryStatus = "PENDING" | "SUCCEEDED" | "FAILED" | "HELD";

/** One event on its way to one receiver. */
export interface Delivery {
  readonly id: string;
  readonly tenantId: string;
  /** Counts the changes, as a run's. */
  readonly version: number;
  readonly event: WebhookEvent;
  /** Null: the webhook that the run itself names. */
  readonly endpointId: string | null;
  readonly status: DeliveryStatus;
  /** The latest ones, the oldest first. */
  readonly attempts: readonly DeliveryAttempt[];
  /** Attempts since the schedule began, which it does anew when the delivery is asked for again. */
  readonly tries: number;
  readonly createdAt: number;
  /** Null unless PENDING. While somebody tries, this is when he is taken for dead. */
  readonly nextAttemptAt: number | null;
  /** When the attempt in progress began; null between two attempts. Absent in older records. */
  readonly attemptBegunAt?: number | null;
}

export interface DeliveryAttempt {
  readonly at: number;
  readonly durationMs: number;
  /** Null where no answer came. */
  readonly httpStatus: number | null;
  /** Why it failed, for people; null where it succeeded. */
  readonly error: string | null;
  /** The beginning of the answer's body. */
  readonly excerpt: string;
  readonly requestHeaders: readonly Header[];
  readonly responseHeaders: readonly Header[];
}

export interface Header {
  readonly name: string;
  /** `[redacted]` where it is a secret. */
  readonly value: string;
}

const eventOfStatus: Partial<Record<RunStatus, WebhookEventType>> = {
  SUCCEEDED: "run.succeeded",
  PARTIALLY_SUCCEEDED: "run.partially_succeeded",
  FAILED: "run.failed",
  CANCELED: "run.canceled",
  EXPIRED: "run.expired",
};

/**
 * The event of a run's end; null where it has not ended. A run ends once, and its event has its id.
 */
export function eventOf(run: Run): WebhookEvent | null {
  const type = eventOfStatus[run.status];
  if (!isFinished(run) || !type || run.finishedAt === null) return null;
  return {
    id: eventIdOf(run.id),
    tenantId: run.tenantId,
    type,
    at: run.finishedAt,
    subject: { runId: run.id },
  };
}

/** Of the event of a run's end. */
export function eventIdOf(runId: string): string {
  return `evt_${runId.replace(/^run_/, "")}`;
}

/** The event that one endpoint was disabled, for the tenant's others. */
export function disabledEventOf(
  endpoint: WebhookEndpoint,
  reason: string,
  at: number,
): WebhookEvent {
  const { id: endpointId, tenantId, url } = endpoint;
  return {
    id: `evt_${randomBase62(22)}`,
    tenantId,
    type: "endpoint.disabled",
    at,
    subject: { endpointId, url, reason },
  };
}

/**
 * The deliveries of an event: one to each endpoint that wants to hear of it, one to the run's own
 * webhook. Twice the same gives the same ids.
 */
export function deliveriesOf(
  event: WebhookEvent,
  { endpoints, run, now }: { endpoints: readonly WebhookEndpoint[]; run: Run | null; now: number },
): Delivery[] {
  const hearing = endpoints.filter(
    ({ id, events }) =>
      events.includes(event.type) &&
      !("endpointId" in event.subject && event.subject.endpointId === id),
  );
  const due = { status: "PENDING", nextAttemptAt: now } as const;
  const held = { status: "HELD", nextAttemptAt: null } as const;
  const base = {
    tenantId: event.tenantId,
    version: 1,
    event,
    attempts: [],
    tries: 0,
    createdAt: now,
  };
  return [
    ...hearing.map(({ id, disabledAt }) => ({
      ...base,
      id: deliveryId(event, id),
      endpointId: id,
      ...(disabledAt === null ? due : held),
    })),
    ...(run?.webhook ? [{ ...base, id: deliveryId(event, null), endpointId: null, ...due }] : []),
  ];
}

function deliveryId(event: WebhookEvent, endpointId: string | null): string {
  return `dlv_${createHash("sha256").update(`${event.id} ${endpointId}`).digest("hex").slice(0, 24)}`;
}
