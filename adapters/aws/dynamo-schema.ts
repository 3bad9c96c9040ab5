import type { CreateTableCommandInput } from "@aws-sdk/client-dynamodb";

/**
 * The one table, as whoever creates it must make it: every key is a string, every index global and
 * KEYS_ONLY, and DynamoDB deletes items some time after the second in `timeToLive`. The indexes are
 * sparse: an item without both keys of an index is not in it.
 *
 * | pk                           | sk                  | what                                                       |
 * | ---------------------------- | ------------------- | ---------------------------------------------------------- |
 * | RUN#tenant#run               | RUN                 | a run                                                      |
 * | RUN#tenant#run               | DELIVERY#delivery   | that this delivery tells of the run                        |
 * | RUN#tenant#run               | IDEMPOTENCY         | the key that the run was created with                      |
 * | IMAGE#tenant#image           | RUN#run             | that this run has the image                                |
 * | IMAGE#tenant#image           | REMOVED             | that the image was deleted, until it is put again          |
 * | IDEMPOTENCY#tenant#key       | IDEMPOTENCY         | the run that was created with a key                        |
 * | CHARGES#tenant               | instant#run         | the ledger: the charged tasks of a run                     |
 * | SUMS#tenant#grain            | start#shard         | the sums of the ledger by hour, day and month              |
 * | OUTBOX#shard                 | instant#event       | an event that waits for its deliveries                     |
 * | ENDPOINTS#tenant             | endpoint            | a webhook endpoint                                         |
 * | DELIVERY#tenant#delivery     | DELIVERY            | a delivery                                                 |
 * | TENANT#tenant, KEY#key       | TENANT, KEY         | a tenant, an API key                                       |
 * | DELETIONS                    | tenant              | that this tenant is being deleted                          |
 * | TENANTS, KEYS#tenant         | tenant, instant#key | that there is this tenant, this key                        |
 * | BUDGET#tenant                | bucket              | a token bucket                                             |
 * | ALIASES, WORKERS             | alias, worker       | an alias of a model, what a worker reports                 |
 * | AUDIT#day                    | instant#entry       | an entry of the audit log, which is never changed          |
 * | AUDITDAYS                    | day                 | that there are entries of this day                         |
 */
export const tableSchema = {
  partitionKey: "pk",
  sortKey: "sk",
  timeToLive: "expiresAt",
  indexes: {
    /** A tenant's runs, its deliveries or its entries of the audit log, by age. */
    byOwner: { partitionKey: "owner", sortKey: "newest" },
    /** Runs and deliveries in one status, entries of one key. */
    byStatus: { partitionKey: "ownerStatus", sortKey: "newest" },
    /** Queued runs by age, entries of one subject. */
    byQueue: { partitionKey: "queue", sortKey: "newest" },
    /**
     * Queued runs by when they expire, deliveries by when they are tried next, entries of one
     * action.
     */
    byDue: { partitionKey: "dueQueue", sortKey: "due" },
  },
} as const;

/** What CreateTable takes; the time to live is switched on by a call of its own. */
export function createTableInput(name: string): CreateTableCommandInput {
  const keys = [tableSchema, ...Object.values(tableSchema.indexes)];
  const attributes = new Set(keys.flatMap(({ partitionKey, sortKey }) => [partitionKey, sortKey]));
  const keySchema = ({ partitionKey, sortKey }: (typeof keys)[number]) => [
    { AttributeName: partitionKey, KeyType: "HASH" as const },
    { AttributeName: sortKey, KeyType: "RANGE" as const },
  ];
  return {
    TableName: name,
    BillingMode: "PAY_PER_REQUEST",
    AttributeDefinitions: [...attributes].map((attribute) => ({
      AttributeName: attribute,
      AttributeType: "S",
    })),
    KeySchema: keySchema(tableSchema),
    GlobalSecondaryIndexes: Object.entries(tableSchema.indexes).map(([indexName, index]) => ({
      IndexName: indexName,
      KeySchema: keySchema(index),
      Projection: { ProjectionType: "KEYS_ONLY" },
    })),
  };
}
