import { setTimeout as pause } from "node:timers/promises";
import { DeleteCommand } from "@aws-sdk/lib-dynamodb";
import type { Clock, Images } from "../../core/ports.ts";
import { dayMs } from "../../core/retention.ts";
import type { Run } from "../../core/run.ts";
import { placeOfRun, runIn } from "./dynamo-run-item.ts";
import {
  type DynamoTable,
  getItem,
  getItems,
  type Item,
  type ItemKey,
  keyOf,
  queryItems,
  secondsOf,
  text,
  transact,
  type Write,
} from "./dynamo-table.ts";

/** After so long, whoever was deleting an image has been killed. */
const staleMs = 60_000;
const lookEveryMs = 100;

/** Beside an image's name lies each run that has it: to be written with the run. */
export function refOfRun({ tenantId, id, image }: Run): Item & ItemKey {
  return { ...placeOfRef(tenantId, image.id, id), runId: id };
}

export function placeOfRef(tenantId: string, imageId: string, runId: string): ItemKey {
  return { pk: keyOf("IMAGE", tenantId, imageId), sk: keyOf("RUN", runId) };
}

/**
 * That an image was deleted a short time ago, or is being deleted: no run may be stored with it
 * until it is put again.
 */
export function placeOfMark(tenantId: string, imageId: string): ItemKey {
  return { pk: keyOf("IMAGE", tenantId, imageId), sk: "REMOVED" };
}

/** For the transaction that stores a run. */
export function imageIsThere({ name: TableName }: DynamoTable, run: Run): Write {
  const Key = placeOfMark(run.tenantId, run.image.id);
  return {
    ConditionCheck: { TableName, Key, ConditionExpression: "attribute_not_exists(pk)" },
  };
}

/** The runs that have an image. */
export async function runsOfImage(
  table: DynamoTable,
  tenantId: string,
  imageId: string,
): Promise<Run[]> {
  const refs = await queryItems(table, {
    partition: keyOf("IMAGE", tenantId, imageId),
    after: "RUN#",
    before: "RUN$",
  });
  const items = await getItems(
    table,
    refs.map((item) => placeOfRun(tenantId, text(item, "runId"))),
  );
  return Promise.all(items.map(runIn));
}

/**
 * Images whose deletion meets no run: the store of the bytes knows no transaction, so a mark in the
 * table stands from before the deletion until the image is put again, or for a day.
 */
export function markedImages(images: Images, table: DynamoTable, clock: Clock): Images {
  return {
    ...images,
    async put(tenantId, image, bytes) {
      for (;;) {
        const mark = await restingMark(table, clock, { tenantId, imageId: image.id });
        await images.put(tenantId, image, bytes);
        if (
          mark ? await removeMark(table, mark) : (await markOf(table, tenantId, image.id)) === null
        )
          return;
      }
    },
  };
}

export interface Mark extends ItemKey {
  readonly id: string;
}

/** Null if another is deleting the image at this moment. */
export async function setMark(
  table: DynamoTable,
  clock: Clock,
  { tenantId, imageId, id }: { tenantId: string; imageId: string; id: string },
): Promise<Mark | null> {
  const now = clock.now();
  const place = placeOfMark(tenantId, imageId);
  const isSet = await transact(table, [
    {
      Put: {
        TableName: table.name,
        Item: { ...place, id, at: now, isDone: false, expiresAt: secondsOf(now + dayMs) },
        ConditionExpression: "attribute_not_exists(pk) OR isDone = :done OR #at < :stale",
        ExpressionAttributeNames: { "#at": "at" },
        ExpressionAttributeValues: { ":done": true, ":stale": now - staleMs },
      },
    },
  ]);
  return isSet ? { ...place, id } : null;
}

/** The image is gone. */
export function endMark(table: DynamoTable, { pk, sk, id }: Mark): Promise<boolean> {
  return transact(table, [
    {
      Update: {
        TableName: table.name,
        Key: { pk, sk },
        UpdateExpression: "SET isDone = :done",
        ConditionExpression: "id = :id",
        ExpressionAttributeValues: { ":done": true, ":id": id },
      },
    },
  ]);
}

/** False if it is another mark by now. */
export function removeMark(table: DynamoTable, { pk, sk, id }: Mark): Promise<boolean> {
  return transact(table, [
    {
      Delete: {
        TableName: table.name,
        Key: { pk, sk },
        ConditionExpression: "id = :id",
        ExpressionAttributeValues: { ":id": id },
      },
    },
  ]);
}

function markOf(table: DynamoTable, tenantId: string, imageId: string): Promise<Item | null> {
  return getItem(table, placeOfMark(tenantId, imageId));
}

/** Waits until nobody deletes the image at this moment; gives the mark of who did, or null. */
async function restingMark(
  table: DynamoTable,
  clock: Clock,
  { tenantId, imageId }: { tenantId: string; imageId: string },
): Promise<Mark | null> {
  for (;;) {
    const item = await markOf(table, tenantId, imageId);
    if (!item) return null;
    if (item.isDone === true || Number(item.at) < clock.now() - staleMs)
      return { ...placeOfMark(tenantId, imageId), id: text(item, "id") };
    await pause(lookEveryMs);
  }
}

/** Several at once; those that are not there are passed over. */
export async function deleteItems(table: DynamoTable, keys: readonly ItemKey[]): Promise<void> {
  const open = [...keys];
  const work = async () => {
    for (let key = open.pop(); key; key = open.pop())
      await table.client.send(
        new DeleteCommand({ TableName: table.name, Key: { pk: key.pk, sk: key.sk } }),
      );
  };
  await Promise.all(Array.from({ length: 16 }, work));
}
