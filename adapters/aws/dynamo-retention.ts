import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { AuditEntry } from "../../core/audit.ts";
import { addErased, type Erased, nothingErased } from "../../core/erased.ts";
import type { Clock } from "../../core/ports.ts";
import type { Retention } from "../../core/retention.ts";
import { isFinished, type Run } from "../../core/run.ts";
import { type Delivery, eventOf } from "../../core/webhook.ts";
import { auditWrites } from "./dynamo-audit.ts";
import {
  deleteItems,
  endMark,
  placeOfRef,
  removeMark,
  runsOfImage,
  setMark,
} from "./dynamo-image-refs.ts";
import { hourMs, rowsOf } from "./dynamo-ledger.ts";
import { placeOfEvent } from "./dynamo-outbox.ts";
import { placeOfRun, runIn, runsOf } from "./dynamo-run-item.ts";
import { placeOfKey, placeOfKeyOf } from "./dynamo-runs.ts";
import {
  type DynamoTable,
  getItem,
  getItems,
  type Item,
  type ItemKey,
  instantKey,
  keyIn,
  keyOf,
  queryItems,
  text,
  transact,
} from "./dynamo-table.ts";
import { noteErased } from "./dynamo-tenant-deletion.ts";
import { placeOfApiKey } from "./dynamo-tenants.ts";
import { deliveriesOfTenant, placeOfDelivery, pointersOf, recordIn } from "./dynamo-webhooks.ts";
import type { S3Images } from "./s3-images.ts";

/** What a step looks at, and what it deletes. */
const pageSize = 100;
const stepMax = 25;
const lookEveryMs = 100;
/** The end of the year 9999. */
const endOfTime = 253_402_300_799_999;

/**
 * Deletes from the table and the bucket. The table's time to live and the bucket's lifecycle rules
 * delete by the service's setting; this is for tenants whose limit is shorter, and for what is
 * deleted by name. What belongs to a run goes before the run, so a deletion that breaks off is
 * found and made again.
 */
export function dynamoRetention(
  table: DynamoTable,
  images: Pick<S3Images, "get" | "erase" | "eraseTenant">,
  clock: Clock,
): Retention {
  const TableName = table.name;

  /** `isKept`: whether a run that has the image keeps it. */
  async function removeImage(
    { tenantId, imageId }: { tenantId: string; imageId: string },
    isKept: (run: Run) => boolean,
    entry?: AuditEntry,
  ): Promise<"removed" | "missing" | "needed"> {
    const isNeeded = async () => (await runsOfImage(table, tenantId, imageId)).some(isKept);
    for (;;) {
      if (!(await images.get(tenantId, imageId))) return "missing";
      if (await isNeeded()) return "needed";
      const mark = await setMark(table, clock, { tenantId, imageId, id: randomUUID() });
      if (!mark) {
        await pause(lookEveryMs); // another deletes it at this moment
        continue;
      }
      if (await isNeeded()) {
        await removeMark(table, mark);
        return "needed"; // since the first look: no run has come after the mark
      }
      if (entry) await transact(table, auditWrites(table, entry));
      await images.erase(tenantId, imageId);
      await endMark(table, mark);
      return "removed";
    }
  }

  async function removeRun(
    tenantId: string,
    runId: string,
    { entry, isForced = false }: { entry?: AuditEntry | undefined; isForced?: boolean } = {},
  ): Promise<{ outcome: "removed" | "missing" | "unfinished"; erased: Erased }> {
    for (;;) {
      const item = await getItem(table, placeOfRun(tenantId, runId));
      if (!item) return { outcome: "missing", erased: nothingErased };
      const run = await runIn(item);
      if (!isFinished(run) && !isForced) return { outcome: "unfinished", erased: nothingErased };
      const event = eventOf(run);
      if (event) await deleteItems(table, [placeOfEvent(event)]); // no delivery comes after it
      const beside = (
        await queryItems(table, { partition: placeOfRun(tenantId, runId).pk })
      ).filter(({ sk }) => sk !== placeOfRun(tenantId, runId).sk);
      const deliveries = beside.flatMap(({ deliveryId }) =>
        typeof deliveryId === "string" ? [placeOfDelivery(tenantId, deliveryId)] : [],
      );
      const keys = beside.flatMap(({ idempotencyKey }) =>
        typeof idempotencyKey === "string" ? [placeOfKey(tenantId, idempotencyKey)] : [],
      );
      await deleteItems(table, deliveries);
      await deleteItems(
        table,
        beside.filter(({ idempotencyKey }) => idempotencyKey === undefined).map(keyIn),
      );
      const image = await removeImage(
        { tenantId, imageId: run.image.id },
        (other) => other.id !== runId,
      );
      const isRemoved = await transact(table, [
        {
          Delete: {
            TableName,
            Key: placeOfRun(tenantId, runId),
            ConditionExpression: "version = :read",
            ExpressionAttributeValues: { ":read": run.version },
          },
        },
        { Delete: { TableName, Key: placeOfRef(tenantId, run.image.id, runId) } },
        { Delete: { TableName, Key: placeOfKeyOf(tenantId, runId) } },
        ...keys.map((Key) => ({
          Delete: {
            TableName,
            Key,
            ConditionExpression: "attribute_not_exists(pk) OR runId = :run",
            ExpressionAttributeValues: { ":run": runId },
          },
        })),
        ...(entry ? auditWrites(table, entry) : []),
      ]);
      if (!isRemoved) continue; // the run was changed meanwhile
      const erased = {
        ...nothingErased,
        runs: 1,
        deliveries: deliveries.length,
        images: image === "removed" ? 1 : 0,
      };
      return { outcome: "removed", erased };
    }
  }

  /** What an index has from before an instant, the oldest first, a page at a time. */
  async function* oldest(partition: string, before: number): AsyncGenerator<Item[]> {
    for (let after: string | null = null; ; ) {
      const found: Item[] = (
        await queryItems(table, {
          ...{ index: "byOwner", partition, before: instantKey(before), max: pageSize },
          ...(after !== null && { after }),
        })
      ).filter((item) => text(item, "newest") !== after); // BETWEEN includes both ends
      yield await getItems(table, found.map(keyIn));
      const last = found.at(-1);
      if (!last || found.length < pageSize - 1) return;
      after = text(last, "newest");
    }
  }

  async function expireRuns(tenantId: string, before: number): Promise<Erased> {
    let erased = nothingErased;
    for await (const items of oldest(runsOf(tenantId), before)) {
      for (const run of await Promise.all(items.map(runIn))) {
        if (run.finishedAt === null || run.finishedAt >= before) continue;
        erased = addErased(erased, (await removeRun(tenantId, run.id)).erased);
        if (erased.runs >= stepMax) return erased;
      }
    }
    return erased;
  }

  async function expireDeliveries(
    tenantId: string,
    before: number,
    isOver = ({ status }: Delivery) => status !== "PENDING",
  ): Promise<Erased> {
    for await (const items of oldest(deliveriesOfTenant(tenantId), before)) {
      const done = items
        .map((item) => recordIn(item))
        .filter((delivery) => isOver(delivery) && delivery.createdAt < before);
      const keys = done.flatMap((delivery): ItemKey[] => [
        placeOfDelivery(tenantId, delivery.id),
        ...pointersOf(delivery),
      ]);
      await deleteItems(table, keys);
      if (done.length > 0) return { ...nothingErased, deliveries: done.length };
    }
    return nothingErased;
  }

  /** Whole hours of the ledger: a span that cuts one is read from its rows. */
  async function expireCharges(tenantId: string, before: number): Promise<Erased> {
    const items = await queryItems(table, {
      partition: rowsOf(tenantId),
      before: instantKey(before - (before % hourMs)),
      max: pageSize,
    });
    await deleteItems(table, items.map(keyIn));
    return { ...nothingErased, charges: items.length };
  }

  /** The first kind of record first. What an index has not seen yet is found by a later look. */
  async function eraseStep(tenantId: string): Promise<{ isLeft: boolean; erased: Erased }> {
    const keys = await queryItems(table, {
      partition: keyOf("KEYS", tenantId),
      max: pageSize,
    });
    if (keys.length > 0) {
      await deleteItems(
        table,
        keys.map((item) => placeOfApiKey(text(item, "keyId"))),
      );
      await deleteItems(table, keys.map(keyIn));
      return { isLeft: true, erased: { ...nothingErased, apiKeys: keys.length } };
    }
    for (const { partition, counted } of [
      { partition: keyOf("ENDPOINTS", tenantId), counted: "endpoints" },
      { partition: rowsOf(tenantId), counted: "charges" },
      { partition: keyOf("BUDGET", tenantId), counted: null },
    ] as const) {
      const items = await queryItems(table, { partition, max: pageSize });
      if (items.length === 0) continue;
      await deleteItems(table, items.map(keyIn));
      const erased = counted ? { ...nothingErased, [counted]: items.length } : nothingErased;
      return { isLeft: true, erased };
    }
    let erased = nothingErased;
    for await (const items of oldest(runsOf(tenantId), endOfTime)) {
      for (const run of (await Promise.all(items.map(runIn))).slice(0, stepMax))
        erased = addErased(erased, (await removeRun(tenantId, run.id, { isForced: true })).erased);
      if (items.length > 0) return { isLeft: true, erased };
    }
    const { deliveries } = await expireDeliveries(tenantId, endOfTime, () => true);
    if (deliveries > 0) return { isLeft: true, erased: { ...nothingErased, deliveries } };
    const { objects, ...files } = await images.eraseTenant(tenantId);
    return { isLeft: objects > 0, erased: { ...nothingErased, ...files } };
  }

  return {
    removeRun: async (tenantId, runId, entry) =>
      (await removeRun(tenantId, runId, { entry })).outcome,
    removeImage: (tenantId, imageId, entry) =>
      removeImage({ tenantId, imageId }, (run) => !isFinished(run), entry),
    async expire(tenantId, before) {
      let erased = await expireRuns(tenantId, before);
      erased = addErased(erased, await expireDeliveries(tenantId, before));
      return addErased(erased, await expireCharges(tenantId, before));
    },
    eraseTenant: async (tenantId) => {
      const { isLeft, erased } = await eraseStep(tenantId);
      await noteErased(table, tenantId, erased);
      return isLeft;
    },
    tidy: async () => nothingErased, // uploads and images go by lifecycle rules of the bucket
  };
}
