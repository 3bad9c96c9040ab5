import { PutCommand, UpdateCommand } from "@aws-sdk/lib-dynamodb";
import { type Erased, nothingErased } from "../../core/erased.ts";
import type { Tenants } from "../../core/ports.ts";
import type { Tenant, TenantDeletion } from "../../core/tenant.ts";
import { type TenantLimits, tenantLimitNames } from "../../core/tenant-limits.ts";
import { auditWrites } from "./dynamo-audit.ts";
import {
  type DynamoTable,
  getItem,
  getItems,
  type Item,
  type ItemKey,
  keyOf,
  number,
  queryItems,
  secondsOf,
  text,
  transact,
} from "./dynamo-table.ts";

/**
 * The state of a tenant's deletion, in attributes of the tenant's item; and the list of those that
 * go on.
 */
export function tenantDeletions(
  table: DynamoTable,
  tenantIn: (item: Item) => Tenant,
): Pick<Tenants, "beginDeletion" | "deletions" | "endDeletion"> {
  return {
    async beginDeletion(tenantId, at, entry) {
      const { name: TableName } = table;
      const isBegun = await transact(table, [
        {
          Update: {
            TableName,
            Key: placeOfTenant(tenantId),
            ConditionExpression: "attribute_exists(pk) AND attribute_not_exists(deletionStartedAt)",
            UpdateExpression:
              "SET deletionStartedAt = :at, disabledAt = if_not_exists(disabledAt, :at)",
            ExpressionAttributeValues: { ":at": at },
          },
        },
        { Put: { TableName, Item: { pk: deletions, sk: tenantId } } },
        ...(entry ? auditWrites(table, entry) : []),
      ]);
      return isBegun || (await getItem(table, placeOfTenant(tenantId))) !== null;
    },
    async deletions(endedAfter) {
      const listed = await queryItems(table, { partition: deletions });
      const places = listed.map((item) => placeOfTenant(text(item, "sk")));
      return (await getItems(table, places))
        .map(tenantIn)
        .filter(({ deletion }) => deletion && (deletion.finishedAt ?? Infinity) > endedAfter);
    },
    async endDeletion(tenantId, at) {
      const limits = tenantLimitNames.map((name) => [`#${name}`, limitAttribute(name)]);
      const isEnded = await transact(table, [
        {
          Update: {
            TableName: table.name,
            Key: placeOfTenant(tenantId),
            ConditionExpression:
              "attribute_exists(deletionStartedAt) AND attribute_not_exists(deletionFinishedAt)",
            UpdateExpression: `SET deletionFinishedAt = :at, #name = :none REMOVE ${limits
              .map(([name]) => name)
              .join(", ")}`,
            ExpressionAttributeNames: { "#name": "name", ...Object.fromEntries(limits) },
            ExpressionAttributeValues: { ":at": at, ":none": "" },
          },
        },
      ]);
      if (!isEnded) return;
      const Item = { pk: deletions, sk: tenantId, expiresAt: secondsOf(at + keptListedMs) };
      await table.client.send(new PutCommand({ TableName: table.name, Item }));
    },
  };
}

/**
 * The partition that lists the tenants that are being deleted, and those that were a short time
 * ago.
 */
const deletions = "DELETIONS";
const keptListedMs = 2 * 86_400_000;

/** Adds to what a tenant's deletion has deleted. */
export async function noteErased(
  table: DynamoTable,
  tenantId: string,
  erased: Erased,
): Promise<void> {
  const counts = Object.entries(erased).filter(([, count]) => count > 0);
  if (counts.length === 0) return;
  await table.client.send(
    new UpdateCommand({
      TableName: table.name,
      Key: placeOfTenant(tenantId),
      UpdateExpression: `ADD ${counts.map(([name]) => `erased_${name} :${name}`).join(", ")}`,
      ConditionExpression: "attribute_exists(deletionStartedAt)",
      ExpressionAttributeValues: Object.fromEntries(
        counts.map(([name, count]) => [`:${name}`, count]),
      ),
    }),
  );
}

export function deletionIn(item: Item): TenantDeletion | null {
  const startedAt = instant(item, "deletionStartedAt");
  if (startedAt === null) return null;
  const counts = Object.keys(nothingErased).map((name) => [name, item[`erased_${name}`] ?? 0]);
  return {
    startedAt,
    finishedAt: instant(item, "deletionFinishedAt"),
    erased: { ...nothingErased, ...Object.fromEntries(counts) },
  };
}

export function placeOfTenant(tenantId: string): ItemKey {
  return { pk: keyOf("TENANT", tenantId), sk: "TENANT" };
}

/** Each limit that is set is an attribute of its own, so that two changes at once both count. */
export function limitAttribute(name: keyof TenantLimits): string {
  return `limit_${name}`;
}

export function instant(item: Item, attribute: string): number | null {
  return item[attribute] === undefined ? null : number(item, attribute);
}
