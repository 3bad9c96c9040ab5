import { type Bucket, draw } from "../../core/budget.ts";
import type { Budgets } from "../../core/ports.ts";
import {
  type DynamoTable,
  getItems,
  type Item,
  type ItemKey,
  keyOf,
  number,
  secondsOf,
  text,
  transact,
} from "./dynamo-table.ts";

const dayMs = 86_400_000;
/** So often others came first; beyond, something is wrong. */
const attemptsMax = 50;

/**
 * Token buckets in DynamoDB: read, drawn from, and written only as they were read; the table
 * forgets those that have long been full.
 */
export function dynamoBudgets(table: DynamoTable): Budgets {
  return {
    async draw(tenantId, names, { cost, size, now }) {
      const places = names.map((name): ItemKey => ({ pk: keyOf("BUDGET", tenantId), sk: name }));
      for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
        const found = await getItems(table, places);
        const items = names.map((name) => found.find((item) => text(item, "sk") === name) ?? null);
        const drawn = draw(items.map(bucketIn), cost, size, now);
        if (cost === 0 || drawn.waitMs > 0) return drawn;
        const writes = places.map((place, i) => {
          const item = items[i] ?? null;
          const level = drawn.levels[i] ?? 0;
          const fullAt = now + ((size.capacity - level) / size.perSecond) * 1_000;
          const version = item ? number(item, "version") + 1 : 1;
          const Item = {
            ...place,
            level,
            at: now,
            version,
            expiresAt: secondsOf(Math.max(now, fullAt) + dayMs),
          };
          return { Put: { TableName: table.name, Item, ...unchanged(item) } };
        });
        if (await transact(table, writes)) return drawn;
      }
      throw new Error("The token buckets of a tenant are drawn from too often at once.");
    },
  };
}

function unchanged(item: Item | null) {
  if (!item) return { ConditionExpression: "attribute_not_exists(pk)" };
  return {
    ConditionExpression: "version = :read",
    ExpressionAttributeValues: { ":read": number(item, "version") },
  };
}

function bucketIn(item: Item | null): Bucket | null {
  return item && { level: number(item, "level"), at: number(item, "at") };
}
