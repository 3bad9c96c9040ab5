import { crc32 } from "node:zlib";
import type { WebhookEvent } from "../../core/webhook.ts";
import { type Item, type ItemKey, instantKey, keyOf } from "./dynamo-table.ts";

/** Each is good for some 500 events a second. More may come later, fewer never. */
const shardCount = 8;

/** The partitions in which events wait. */
export const outboxShards: readonly string[] = Array.from({ length: shardCount }, (_, shard) =>
  keyOf("OUTBOX", String(shard)),
);

/** An event that waits, to be written in the transaction of what it tells. */
export function outboxItem(event: WebhookEvent): Item & ItemKey {
  return { ...placeOfEvent(event), event: JSON.stringify(event) };
}

export function placeOfEvent({ id, at }: WebhookEvent): ItemKey {
  return { pk: outboxShards[crc32(id) % shardCount] ?? "", sk: instantKey(at, id) };
}
