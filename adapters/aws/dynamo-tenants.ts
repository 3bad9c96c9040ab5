import { ConditionalCheckFailedException } from "@aws-sdk/client-dynamodb";
import { UpdateCommand, type UpdateCommandInput } from "@aws-sdk/lib-dynamodb";
import type { AuditEntry } from "../../core/audit.ts";
import type { Tenants } from "../../core/ports.ts";
import { type ApiKey, scopes, type Tenant } from "../../core/tenant.ts";
import { noTenantLimits, type TenantLimits, tenantLimitNames } from "../../core/tenant-limits.ts";
import { auditWrites } from "./dynamo-audit.ts";
import {
  type DynamoTable,
  getItem,
  getItems,
  type Item,
  type ItemKey,
  instantKey,
  keyOf,
  number,
  putNew,
  queryItems,
  text,
  transact,
  type Write,
} from "./dynamo-table.ts";

import {
  deletionIn,
  instant,
  limitAttribute,
  placeOfTenant,
  tenantDeletions,
} from "./dynamo-tenant-deletion.ts";

/**
 * Tenants and their API keys in DynamoDB. Beside each record stands a second item, which is never
 * changed and lists it: all tenants in one partition, the keys of each tenant in one. So lists,
 * too, show every write at once, which an index would not promise. What is null in a record is
 * absent in its item.
 */
export function dynamoTenants(table: DynamoTable): Tenants {
  /** False where the condition was not met. */
  const update = async (
    Key: ItemKey,
    change: Omit<UpdateCommandInput, "TableName" | "Key">,
    entry?: AuditEntry,
  ): Promise<boolean> => {
    const { UpdateExpression } = change;
    if (entry && UpdateExpression !== undefined) {
      const { name: TableName } = table;
      const { ConditionExpression, ExpressionAttributeNames, ExpressionAttributeValues } = change;
      const values = { ExpressionAttributeNames, ExpressionAttributeValues };
      return transact(table, [
        { Update: { TableName, Key, UpdateExpression, ConditionExpression, ...values } },
        ...auditWrites(table, entry),
      ]);
    }
    try {
      await table.client.send(new UpdateCommand({ TableName: table.name, Key, ...change }));
      return true;
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return false;
      throw error;
    }
  };

  const findKey = async (keyId: string): Promise<ApiKey | null> => {
    const item = await getItem(table, placeOfApiKey(keyId));
    return item && keyIn(item);
  };

  return {
    async create({ id, name, createdAt, disabledAt }, entry) {
      const record = {
        ...placeOfTenant(id),
        id,
        name,
        createdAt,
        disabledAt: disabledAt ?? undefined,
      };
      if (
        !(await putNew(
          table,
          [record, { pk: allTenants, sk: id }],
          entry && auditWrites(table, entry),
        ))
      )
        throw new Error(`There is a tenant with the id ${id} already.`);
    },
    async get(tenantId) {
      const item = await getItem(table, placeOfTenant(tenantId));
      return item && tenantIn(item);
    },
    async list({ first, after }) {
      const listed = await queryItems(table, {
        partition: allTenants,
        max: first,
        ...(after !== null && { after }),
      });
      return (
        await getItems(
          table,
          listed.map((item) => placeOfTenant(text(item, "sk"))),
        )
      ).map(tenantIn);
    },
    setDisabled(tenantId, disabledAt, entry) {
      const change = {
        ...(disabledAt === null
          ? {
              ConditionExpression:
                "attribute_exists(pk) AND attribute_not_exists(deletionStartedAt)",
              UpdateExpression: "REMOVE disabledAt",
            }
          : {
              ConditionExpression: "attribute_exists(pk)",
              UpdateExpression: "SET disabledAt = :at",
              ExpressionAttributeValues: { ":at": disabledAt },
            }),
      };
      return update(placeOfTenant(tenantId), change, entry);
    },
    ...tenantDeletions(table, tenantIn),
    setLimits(tenantId, change, entry) {
      const named = tenantLimitNames.filter((name) => change[name] !== undefined);
      const set = named.filter((name) => change[name] !== null);
      const cleared = named.filter((name) => change[name] === null);
      const parts = [
        ...(set.length > 0 ? [`SET ${set.map((name) => `#${name} = :${name}`).join(", ")}`] : []),
        ...(cleared.length > 0 ? [`REMOVE ${cleared.map((name) => `#${name}`).join(", ")}`] : []),
      ];
      const changed = {
        ConditionExpression: "attribute_exists(pk)",
        ...(parts.length > 0 && {
          UpdateExpression: parts.join(" "),
          ExpressionAttributeNames: Object.fromEntries(
            named.map((name) => [`#${name}`, limitAttribute(name)]),
          ),
        }),
        ...(set.length > 0 && {
          ExpressionAttributeValues: Object.fromEntries(
            set.map((name) => [`:${name}`, change[name]]),
          ),
        }),
      };
      return update(placeOfTenant(tenantId), changed, entry);
    },
    async createKey(key, entry) {
      if (!(await putNew(table, itemsOf(key), entry && auditWrites(table, entry))))
        throw new Error(`There is an API key with the id ${key.id} already.`);
    },
    findKey,
    async keys(tenantId) {
      const listed = await queryItems(table, {
        partition: keyOf("KEYS", tenantId),
        descending: true,
      });
      return (
        await getItems(
          table,
          listed.map((item) => placeOfApiKey(text(item, "keyId"))),
        )
      ).map(keyIn);
    },
    replaceKey(fresh, { keyId, expiresAt }, entries = []) {
      const moved: Write = {
        Update: {
          TableName: table.name,
          Key: placeOfApiKey(keyId),
          ConditionExpression:
            "tenantId = :tenant AND attribute_not_exists(revokedAt) AND (attribute_not_exists(endsAt) OR endsAt >= :at)",
          UpdateExpression: "SET endsAt = :at",
          ExpressionAttributeValues: { ":tenant": fresh.tenantId, ":at": expiresAt },
        },
      };
      return putNew(table, itemsOf(fresh), [moved, ...auditWrites(table, ...entries)]);
    },
    revokeKey(tenantId, keyId, revokedAt, entry) {
      const change = {
        ConditionExpression: "tenantId = :tenant",
        UpdateExpression: "SET revokedAt = if_not_exists(revokedAt, :at)",
        ExpressionAttributeValues: { ":tenant": tenantId, ":at": revokedAt },
      };
      return update(placeOfApiKey(keyId), change, entry);
    },
  };
}

/** A key's record, and what lists it. */
function itemsOf(key: ApiKey): (Item & ItemKey)[] {
  const { id, tenantId, name, scopes, secretHash, createdAt, expiresAt, revokedAt } = key;
  const dates = { createdAt, endsAt: expiresAt ?? undefined, revokedAt: revokedAt ?? undefined };
  return [
    { ...placeOfApiKey(id), id, tenantId, name, scopes, secretHash, ...dates },
    { pk: keyOf("KEYS", tenantId), sk: instantKey(createdAt, id), keyId: id },
  ];
}

/** The partition that lists all tenants, by id. */
const allTenants = "TENANTS";

export function placeOfApiKey(keyId: string): ItemKey {
  return { pk: keyOf("KEY", keyId), sk: "KEY" };
}

function tenantIn(item: Item): Tenant {
  return {
    id: text(item, "id"),
    name: text(item, "name"),
    createdAt: number(item, "createdAt"),
    disabledAt: instant(item, "disabledAt"),
    limits: limitsIn(item),
    deletion: deletionIn(item),
  };
}

function limitsIn(item: Item): TenantLimits {
  const set = tenantLimitNames.flatMap((name) => {
    const value = item[limitAttribute(name)];
    return value === undefined ? [] : [[name, value]];
  });
  return { ...noTenantLimits, ...Object.fromEntries(set) }; // written above
}

function keyIn(item: Item): ApiKey {
  const { scopes: granted } = item;
  return {
    id: text(item, "id"),
    tenantId: text(item, "tenantId"),
    name: text(item, "name"),
    scopes: scopes.filter((scope) => Array.isArray(granted) && granted.includes(scope)),
    secretHash: text(item, "secretHash"),
    createdAt: number(item, "createdAt"),
    expiresAt: instant(item, "endsAt"), // not `expiresAt`: the table deletes by that one, and dead keys stay listed
    revokedAt: instant(item, "revokedAt"),
  };
}
