import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { ConditionalCheckFailedException } from "@aws-sdk/client-dynamodb";
import { UpdateCommand } from "@aws-sdk/lib-dynamodb";
import { chargesOf } from "../../core/charge.ts";
import type { Runs } from "../../core/ports.ts";
import type { Run, RunStatus } from "../../core/run.ts";
import { eventOf } from "../../core/webhook.ts";
import { cursorOf, placeBehind } from "../cursor.ts";
import { imageIsThere, placeOfMark, refOfRun } from "./dynamo-image-refs.ts";
import { ledgerWrites, readLedger, readUsage } from "./dynamo-ledger.ts";
import { outboxItem } from "./dynamo-outbox.ts";
import { itemOfRun, placeOfRun, queueShards, runIn, runsOf, toErase } from "./dynamo-run-item.ts";
import {
  countItems,
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

export interface DynamoRunsOptions {
  /**
   * How long a run and its idempotency key stay after it has finished; the table then deletes them
   * within days. Null: for ever.
   */
  readonly retentionMs: number | null;
  /** Is told of every event. */
  readonly wake: Wake;
}

/**
 * What an unfinished run may take beyond `expiresAt`: no message lives longer, and without one
 * nobody works on a run.
 */
const graceMs = 14 * 86_400_000;
/** Pauses between two looks of a waiting reader grow from the first to the second. */
const lookAfterMs = { first: 100, max: 1_000, growth: 1.4 } as const;

/**
 * Runs in DynamoDB: the record as JSON, packed where it is long, beside it the attributes that are
 * searched. Reads by key show every write that was acknowledged. Lists, counts and the sweeper's
 * questions find keys in indexes, which lag behind by a moment, and read the runs themselves as
 * they are. A run that does not fit into an item, even packed, is an AppError INVALID.
 *
 * Unfinished runs are counted in an index, not in a counter: every creation and every end of a
 * tenant's run would write the same counter in its transaction, and they would call each other off.
 * A count costs half a read unit for each 4 KB of keys: one where little is waiting, some 200 at
 * the 10 000 runs that a tenant may have.
 */
export function dynamoRuns(table: DynamoTable, { retentionMs, wake }: DynamoRunsOptions): Runs {
  /** The run's key, and beside the run which it is; and beside the image that the run has it. */
  const itemsBeside = (
    run: Run,
    idempotency: { key: string; inputHash: string } | null,
  ): (Item & ItemKey)[] => {
    const end = retentionMs !== null && {
      expiresAt: secondsOf(run.expiresAt + graceMs + retentionMs),
    };
    const ref = { ...refOfRun(run), ...end };
    if (!idempotency) return [ref];
    const { key, inputHash } = idempotency;
    return [
      ref,
      { ...placeOfKey(run.tenantId, key), runId: run.id, inputHash, ...end },
      { ...placeOfKeyOf(run.tenantId, run.id), idempotencyKey: key, ...end },
    ];
  };

  const get = async (tenantId: string, runId: string): Promise<Run | null> => {
    const item = await getItem(table, placeOfRun(tenantId, runId));
    return item && runIn(item);
  };

  const findByKey = async (tenantId: string, key: string) => {
    const item = await getItem(table, placeOfKey(tenantId, key));
    const run = item && (await get(tenantId, text(item, "runId")));
    return run && { run, inputHash: text(item, "inputHash") };
  };

  /**
   * A key may outlive its run by days. In a transaction, so that a run that is being created is
   * never taken for one that is gone.
   */
  const forgetKeyOfGoneRun = async (tenantId: string, key: string): Promise<boolean> => {
    const Key = placeOfKey(tenantId, key);
    const item = await getItem(table, Key);
    if (!item) return false;
    const runId = text(item, "runId");
    const TableName = table.name;
    await transact(table, [
      {
        ConditionCheck: {
          TableName,
          Key: placeOfRun(tenantId, runId),
          ConditionExpression: "attribute_not_exists(pk)",
        },
      },
      {
        Delete: {
          TableName,
          Key,
          ConditionExpression: "runId = :run",
          ExpressionAttributeValues: { ":run": runId },
        },
      },
    ]);
    return true;
  };

  const runsAt = async (found: readonly Item[]): Promise<Run[]> =>
    Promise.all((await getItems(table, found.map(keyIn))).map(runIn));

  const inQueue = async (
    query: Pick<Query, "index" | "before">,
    max: number,
    sortKey: "newest" | "due",
  ): Promise<Run[]> => {
    const shards = queueShards.map((partition) => queryItems(table, { ...query, partition, max }));
    const found = (await Promise.all(shards))
      .flat()
      .sort((a, b) => (text(a, sortKey) < text(b, sortKey) ? -1 : 1));
    return (await runsAt(found.slice(0, max))).filter(({ status }) => status === "QUEUED");
  };

  return {
    async create(run, idempotency) {
      const items = [
        await itemOfRun(run, randomUUID(), retentionMs),
        ...itemsBeside(run, idempotency),
      ];
      for (;;) {
        if (await putNew(table, items, [imageIsThere(table, run)]))
          return { outcome: "created", run };
        const earlier = idempotency && (await findByKey(run.tenantId, idempotency.key));
        if (earlier)
          return {
            outcome: earlier.inputHash === idempotency.inputHash ? "replayed" : "mismatch",
            run: earlier.run,
          };
        if (await getItem(table, placeOfMark(run.tenantId, run.image.id)))
          return { outcome: "imageGone", run };
        if (!idempotency || !(await forgetKeyOfGoneRun(run.tenantId, idempotency.key)))
          throw new Error(`There is a run ${run.id} already.`);
      }
    },
    get,
    findByKey,
    async replace(run) {
      const write = randomUUID();
      const Item = await itemOfRun(run, write, retentionMs);
      const TableName = table.name;
      const before = {
        ConditionExpression: "version = :before",
        ExpressionAttributeValues: { ":before": run.version - 1 },
      };
      const event = eventOf(run);
      const isTaken = await transact(table, [
        { Put: { TableName, Item, ...before } },
        ...ledgerWrites(table, { run, charges: chargesOf(run), retentionMs }),
        ...(event ? [{ Put: { TableName, Item: outboxItem(event) } }] : []),
      ]);
      // A write whose answer was lost is repeated, and may then meet its own version: the mark
      // tells ours from another's.
      const isReplaced =
        isTaken ||
        (await getItem(table, placeOfRun(run.tenantId, run.id), { attribute: "write" }))?.write ===
          write;
      if (isReplaced && event) await wake(0);
      return isReplaced;
    },
    usage: (tenantId, span) => readUsage(table, tenantId, span),
    ledger: (tenantId, page) => readLedger(table, tenantId, page),
    async list(tenantId, { first, after, status }) {
      const partitions: Query[] = status
        ? [...new Set(status)].map((one) => ({
            index: "byStatus",
            partition: runsOf(tenantId, one),
          }))
        : [{ index: "byOwner", partition: runsOf(tenantId) }];
      const place = placeBehind(after);
      let before: string | null = after === null ? null : instantKey(place.createdAt, place.id);
      const runs: Run[] = [];
      for (let isMore = true; isMore && runs.length <= first; ) {
        const max = first + 1 - runs.length; // the one beyond the page tells whether there is another
        const found = await newestOf(table, partitions, { max, before });
        runs.push(...(await runsAt(found)).filter((run) => !status || status.includes(run.status)));
        isMore = found.length === max;
        const last = found.at(-1);
        before = last ? text(last, "newest") : before;
      }
      return { runs: runs.slice(0, first), hasNextPage: runs.length > first, cursorOf };
    },
    async eraseFrom(tenantId, runId, at) {
      try {
        await table.client.send(
          new UpdateCommand({
            TableName: table.name,
            Key: placeOfRun(tenantId, runId),
            ConditionExpression: "dueQueue = :erase AND due > :at",
            UpdateExpression: "SET due = :at",
            ExpressionAttributeValues: { ":erase": toErase, ":at": instantKey(at, runId) },
          }),
        );
      } catch (error) {
        if (!(error instanceof ConditionalCheckFailedException)) throw error;
      }
    },
    async erasable(by, max) {
      const before = instantKey(by + 1);
      const found = await queryItems(table, { index: "byDue", partition: toErase, before, max });
      return (await runsAt(found)).map(({ tenantId, id }) => ({ tenantId, id }));
    },
    async countUnfinished(tenantId) {
      const unfinished: readonly RunStatus[] = ["QUEUED", "PROCESSING"];
      const count = (status: RunStatus) =>
        countItems(table, { index: "byStatus", partition: runsOf(tenantId, status) });
      return (await Promise.all(unfinished.map(count))).reduce((sum, one) => sum + one, 0);
    },
    queued: (createdBefore, max) =>
      inQueue({ index: "byQueue", before: instantKey(createdBefore) }, max, "newest"),
    overdue: (by, max) => inQueue({ index: "byDue", before: instantKey(by + 1) }, max, "due"),
    async changed(tenantId, runId, version, waitMs, signal) {
      const deadline = performance.now() + waitMs;
      for (
        let pauseMs: number = lookAfterMs.first;
        !signal?.aborted;
        pauseMs = Math.min(pauseMs * lookAfterMs.growth, lookAfterMs.max)
      ) {
        const item = await getItem(table, placeOfRun(tenantId, runId), { attribute: "version" });
        const leftMs = deadline - performance.now();
        if (item?.version !== version || leftMs <= 0) return;
        await pause(Math.min(pauseMs, leftMs), undefined, signal && { signal }).catch(
          () => undefined,
        ); // rejects when aborted, which the loop sees
      }
    },
  };
}

/** Beside the run: the key that it was created with. */
export function placeOfKeyOf(tenantId: string, runId: string): ItemKey {
  return { pk: placeOfRun(tenantId, runId).pk, sk: "IDEMPOTENCY" };
}

export function placeOfKey(tenantId: string, key: string): ItemKey {
  return { pk: keyOf("IDEMPOTENCY", tenantId, key), sk: "IDEMPOTENCY" };
}
