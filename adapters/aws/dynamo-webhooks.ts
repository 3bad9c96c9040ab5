import { setTimeout as pause } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { DeleteCommand } from "@aws-sdk/lib-dynamodb";
import type { Clock } from "../../core/ports.ts";
import type {
  Delivery,
  DeliveryStatus,
  WebhookEndpoint,
  WebhookEvent,
} from "../../core/webhook.ts";
import type { DeliveryFilter, Webhooks } from "../../core/webhook-store.ts";
import { cursorOf, placeBehind } from "../cursor.ts";
import { auditWrites } from "./dynamo-audit.ts";
import { outboxItem, outboxShards, placeOfEvent } from "./dynamo-outbox.ts";
import {
  type DynamoTable,
  getItem,
  getItems,
  type Item,
  type ItemKey,
  instantKey,
  keyIn,
  keyOf,
  newestOf,
  putNew,
  type Query,
  queryItems,
  secondsOf,
  text,
  transact,
} from "./dynamo-table.ts";
import type { Wake } from "./sqs-wake.ts";

const dueShardCount = 4;
const dueShards: readonly string[] = Array.from({ length: dueShardCount }, (_, shard) =>
  keyOf("DUE", String(shard)),
);
const pointerGraceMs = 14 * 86_400_000;
/** Between two looks of a waiting deliverer. */
const lookEveryMs = 1_000;

/**
 * Webhooks in DynamoDB: the records as JSON, beside them the attributes that are searched.
 * `retentionMs` after its end a delivery may be deleted; null: never.
 */
export function dynamoWebhooks(
  table: DynamoTable,
  { clock, retentionMs, wake }: { clock: Clock; retentionMs: number | null; wake: Wake },
): Webhooks {
  const TableName = table.name;

  const itemOf = (delivery: Delivery): Item & ItemKey => {
    const { tenantId, id, version, status, endpointId, createdAt, nextAttemptAt } = delivery;
    return {
      ...placeOfDelivery(tenantId, id),
      owner: deliveriesOfTenant(tenantId),
      ownerStatus: partitionOf(tenantId, endpointId ?? "", status),
      newest: instantKey(createdAt, id),
      version,
      data: JSON.stringify(delivery),
      ...(nextAttemptAt === null
        ? retentionMs !== null && { expiresAt: secondsOf(clock.now() + retentionMs) }
        : { dueQueue: dueShards[crc32(id) % dueShardCount], due: instantKey(nextAttemptAt, id) }),
    };
  };
  /** A delivery ends within days, and its pointer goes after it. */
  const pointerEnd = () =>
    retentionMs !== null && { expiresAt: secondsOf(clock.now() + pointerGraceMs + retentionMs) };
  const deliveriesAt = async (found: readonly Item[]) =>
    (await getItems(table, found.map(keyIn))).map((item) => recordIn<Delivery>(item));

  const outbox = async (max: number): Promise<WebhookEvent[]> => {
    const found = (
      await Promise.all(outboxShards.map((partition) => queryItems(table, { partition, max })))
    ).flat();
    const oldestFirst = found.sort((a, b) => (text(a, "sk") < text(b, "sk") ? -1 : 1));
    return oldestFirst.slice(0, max).map((item) => JSON.parse(text(item, "event")));
  };

  const due = async (by: number, max: number): Promise<Delivery[]> => {
    const queries = dueShards.map((partition) =>
      queryItems(table, { index: "byDue", partition, before: instantKey(by + 1), max }),
    );
    const found = (await Promise.all(queries))
      .flat()
      .sort((a, b) => (text(a, "due") < text(b, "due") ? -1 : 1));
    const deliveries = await deliveriesAt(found.slice(0, max));
    return deliveries.filter(({ nextAttemptAt }) => nextAttemptAt !== null && nextAttemptAt <= by); // the index lags behind
  };

  return {
    async createEndpoint(endpoint, entry) {
      if (!(await putNew(table, [endpointItem(endpoint)], entry && auditWrites(table, entry))))
        throw new Error(`There is an endpoint ${endpoint.id} already.`);
    },
    async getEndpoint(tenantId, endpointId) {
      const item = await getItem(table, placeOfEndpoint(tenantId, endpointId));
      return item && recordIn<WebhookEndpoint>(item);
    },
    async endpoints(tenantId) {
      const items = await queryItems(table, { partition: keyOf("ENDPOINTS", tenantId) });
      const endpoints = items.map((item) => recordIn<WebhookEndpoint>(item));
      return endpoints.sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
    },
    async replaceEndpoint(endpoint, event, entry) {
      const isReplaced = await transact(table, [
        { Put: { TableName, Item: endpointItem(endpoint), ...onVersion(endpoint.version - 1) } },
        ...(event ? [{ Put: { TableName, Item: outboxItem(event) } }] : []),
        ...(entry ? auditWrites(table, entry) : []),
      ]);
      if (isReplaced && event) await wake(0);
      return isReplaced;
    },
    async removeEndpoint(tenantId, endpointId, entry) {
      const Key = placeOfEndpoint(tenantId, endpointId);
      if (entry) {
        const ConditionExpression = "attribute_exists(pk)";
        return transact(table, [
          { Delete: { TableName, Key, ConditionExpression } },
          ...auditWrites(table, entry),
        ]);
      }
      return (
        (await table.client.send(new DeleteCommand({ TableName, Key, ReturnValues: "ALL_OLD" })))
          .Attributes !== undefined
      );
    },
    outbox,
    fanOut(event, deliveries) {
      return transact(table, [
        {
          Delete: {
            TableName,
            Key: placeOfEvent(event),
            ConditionExpression: "attribute_exists(pk)",
          },
        },
        ...deliveries.map((delivery) => ({ Put: { TableName, Item: itemOf(delivery) } })),
        ...deliveries.flatMap((delivery) =>
          pointersOf(delivery).map((Item) => ({
            Put: { TableName, Item: { ...Item, ...pointerEnd() } },
          })),
        ),
      ]);
    },
    async getDelivery(tenantId, deliveryId) {
      const item = await getItem(table, placeOfDelivery(tenantId, deliveryId));
      return item && recordIn<Delivery>(item);
    },
    async replaceDelivery(delivery) {
      const isReplaced = await transact(table, [
        { Put: { TableName, Item: itemOf(delivery), ...onVersion(delivery.version - 1) } },
      ]);
      if (isReplaced && delivery.nextAttemptAt !== null)
        await wake(delivery.nextAttemptAt - clock.now());
      return isReplaced;
    },
    async deliveries(tenantId, { first, after, ...filter }) {
      const matches = matcherOf(filter);
      const place = placeBehind(after);
      if (filter.runId !== null) {
        const pointers = await queryItems(table, {
          partition: keyOf("RUN", tenantId, filter.runId),
          after: "DELIVERY#",
          before: "DELIVERY$",
        });
        const all = await getItems(
          table,
          pointers.map((item) => placeOfDelivery(tenantId, text(item, "deliveryId"))),
        );
        const behind = ({ createdAt, id }: Delivery) =>
          createdAt < place.createdAt || (createdAt === place.createdAt && id < place.id);
        const found = all
          .map((item) => recordIn<Delivery>(item))
          .filter((delivery) => matches(delivery) && behind(delivery));
        found.sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1));
        return { deliveries: found.slice(0, first), hasNextPage: found.length > first, cursorOf };
      }
      const deliveries: Delivery[] = [];
      let before: string | null = after === null ? null : instantKey(place.createdAt, place.id);
      for (let isMore = true; isMore && deliveries.length <= first; ) {
        const max = first + 1 - deliveries.length; // the one beyond the page tells whether there is another
        const found = await newestOf(table, partitionsOf(tenantId, filter), { max, before });
        deliveries.push(...(await deliveriesAt(found)).filter(matches));
        isMore = found.length === max;
        const last = found.at(-1);
        before = last ? text(last, "newest") : before;
      }
      return {
        deliveries: deliveries.slice(0, first),
        hasNextPage: deliveries.length > first,
        cursorOf,
      };
    },
    due,
    async wait(waitMs, signal) {
      const deadline = performance.now() + waitMs;
      while (!signal?.aborted) {
        if ((await outbox(1)).length > 0 || (await due(clock.now(), 1)).length > 0) return;
        const leftMs = deadline - performance.now();
        if (leftMs <= 0) return;
        await pause(Math.min(lookEveryMs, leftMs), undefined, signal && { signal }).catch(
          () => undefined,
        ); // rejects when aborted, which the loop sees
      }
    },
  };
}

const statuses: readonly DeliveryStatus[] = ["PENDING", "SUCCEEDED", "FAILED", "HELD"];

/**
 * Where the index has what a filter lets through, and more where it asks for a status at any
 * endpoint.
 */
function partitionsOf(tenantId: string, { endpointId, status }: DeliveryFilter): Query[] {
  if (endpointId === null) return [{ index: "byOwner", partition: deliveriesOfTenant(tenantId) }];
  const wanted = status === null ? statuses : [status];
  return wanted.map((one) => ({
    index: "byStatus",
    partition: partitionOf(tenantId, endpointId, one),
  }));
}

function matcherOf({ endpointId, runId, status }: DeliveryFilter): (delivery: Delivery) => boolean {
  return (delivery) =>
    (endpointId === null || delivery.endpointId === endpointId) &&
    (status === null || delivery.status === status) &&
    (runId === null ||
      ("runId" in delivery.event.subject && delivery.event.subject.runId === runId));
}

/** The partition of a tenant's deliveries in the index. */
export function deliveriesOfTenant(tenantId: string): string {
  return keyOf("DELIVERIES", tenantId);
}

function partitionOf(tenantId: string, endpointId: string, status: DeliveryStatus): string {
  return keyOf("DELIVERIES", tenantId, endpointId, status);
}

/** Beside the run that a delivery tells of lies where to find it. */
export function pointersOf({ tenantId, id, event: { subject } }: Delivery): (Item & ItemKey)[] {
  return "runId" in subject
    ? [{ pk: keyOf("RUN", tenantId, subject.runId), sk: keyOf("DELIVERY", id), deliveryId: id }]
    : [];
}

export function placeOfDelivery(tenantId: string, deliveryId: string): ItemKey {
  return { pk: keyOf("DELIVERY", tenantId, deliveryId), sk: "DELIVERY" };
}

function placeOfEndpoint(tenantId: string, endpointId: string): ItemKey {
  return { pk: keyOf("ENDPOINTS", tenantId), sk: endpointId };
}

function endpointItem(endpoint: WebhookEndpoint): Item & ItemKey {
  return {
    ...placeOfEndpoint(endpoint.tenantId, endpoint.id),
    version: endpoint.version,
    data: JSON.stringify(endpoint),
  };
}

function onVersion(version: number) {
  return {
    ConditionExpression: "version = :before",
    ExpressionAttributeValues: { ":before": version },
  };
}

/** The record as this program wrote it; its shape is not checked at every read. */
export function recordIn<Stored = Delivery>(item: Item): Stored {
  const stored: Stored = JSON.parse(text(item, "data"));
  return stored;
}
