import type { AuditEntry } from "./audit.ts";
import type { Delivery, DeliveryStatus, WebhookEndpoint, WebhookEvent } from "./webhook.ts";

/**
 * Endpoints, events and deliveries. The event of a run's end comes from `Runs.replace`, in the same
 * transaction, and waits in the outbox until `fanOut` has made it into deliveries. A change of an
 * endpoint that is given an entry of the audit log writes both in one transaction.
 */
export interface Webhooks {
  createEndpoint(endpoint: WebhookEndpoint, entry?: AuditEntry): Promise<void>;
  getEndpoint(tenantId: string, endpointId: string): Promise<WebhookEndpoint | null>;
  /** All of a tenant's, the oldest first. */
  endpoints(tenantId: string): Promise<WebhookEndpoint[]>;
  /**
   * Replaces the endpoint if it still has version `endpoint.version - 1`, and in the same
   * transaction puts an event in the outbox; else false.
   */
  replaceEndpoint(
    endpoint: WebhookEndpoint,
    event: WebhookEvent | null,
    entry?: AuditEntry,
  ): Promise<boolean>;
  /** False where the tenant has no such endpoint. */
  removeEndpoint(tenantId: string, endpointId: string, entry?: AuditEntry): Promise<boolean>;
  /** Events of all tenants that wait in the outbox, the oldest first. */
  outbox(max: number): Promise<WebhookEvent[]>;
  /**
   * Takes an event out of the outbox and stores its deliveries, in one transaction; false, and
   * nothing changed, where it was not there any more.
   */
  fanOut(event: WebhookEvent, deliveries: readonly Delivery[]): Promise<boolean>;
  getDelivery(tenantId: string, deliveryId: string): Promise<Delivery | null>;
  /**
   * Replaces the delivery if it still has version `delivery.version - 1`; false where it has not.
   */
  replaceDelivery(delivery: Delivery): Promise<boolean>;
  /** Newest first. */
  deliveries(
    tenantId: string,
    page: DeliveryFilter & { readonly first: number; readonly after: string | null },
  ): Promise<DeliveryPage>;
  /** Deliveries of all tenants whose next attempt is due, longest overdue first. */
  due(by: number, max: number): Promise<Delivery[]>;
  /**
   * Resolves when there may be something new in the outbox or due, or after `waitMs`; whichever is
   * first.
   */
  wait(waitMs: number, signal?: AbortSignal): Promise<void>;
}

/** Null: any. */
export interface DeliveryFilter {
  readonly endpointId: string | null;
  readonly runId: string | null;
  readonly status: DeliveryStatus | null;
}

export interface DeliveryPage {
  readonly deliveries: readonly Delivery[];
  readonly hasNextPage: boolean;
  /** The cursor of a delivery in this listing. */
  cursorOf(delivery: Delivery): string;
}
