import { setTimeout } from "node:timers/promises";
import { type DynamoDBClient, TransactionCanceledException } from "@aws-sdk/client-dynamodb";
import {
  BatchGetCommand,
  DynamoDBDocumentClient,
  GetCommand,
  QueryCommand,
  type QueryCommandInput,
  TransactWriteCommand,
  type TransactWriteCommandInput,
} from "@aws-sdk/lib-dynamodb";
import { tableSchema } from "./dynamo-schema.ts";

export interface DynamoTable {
  readonly client: DynamoDBDocumentClient;
  readonly name: string;
}

/** An item as it was read: its attributes are checked where they are used. */
export type Item = Readonly<Record<string, unknown>>;
export interface ItemKey {
  readonly pk: string;
  readonly sk: string;
}

/** The items of one partition, by sort key; of an index only the keys. */
export interface Query {
  readonly index?: keyof typeof tableSchema.indexes;
  readonly partition: string;
  /** Only sort keys beyond this one, */
  readonly after?: string;
  /** and before this one. */
  readonly before?: string;
  readonly descending?: boolean;
  readonly max?: number;
}

export type Write = NonNullable<TransactWriteCommandInput["TransactItems"]>[number];

/** DynamoDB reads no more at once. */
const batchMax = 100;
const transactAttemptsMax = 10;
/** Why a transaction is called off that may succeed a moment later. */
const passing: readonly unknown[] = [
  "None",
  "TransactionConflict",
  "ThrottlingError",
  "ProvisionedThroughputExceeded",
];

export function dynamoTable(client: DynamoDBClient, name: string): DynamoTable {
  return {
    client: DynamoDBDocumentClient.from(client, {
      marshallOptions: { removeUndefinedValues: true },
    }),
    name,
  };
}

/** A key of several parts, such that different parts never give the same key. */
export function keyOf(...parts: readonly string[]): string {
  return parts.map((part) => part.replaceAll("%", "%25").replaceAll("#", "%23")).join("#");
}

/**
 * A sort key by instant, ties by id. Milliseconds since 1970 have at most 15 digits, until the year
 * 33658.
 */
export function instantKey(at: number, id = ""): string {
  return `${String(at).padStart(15, "0")}#${id}`;
}

/**
 * The item, or some of its attributes, as it is after every write that was acknowledged; null where
 * there is none.
 */
export async function getItem(
  table: DynamoTable,
  key: ItemKey,
  only?: { attribute: string },
): Promise<Item | null> {
  const some = only && {
    ProjectionExpression: "#only",
    ExpressionAttributeNames: { "#only": only.attribute },
  };
  const command = new GetCommand({
    TableName: table.name,
    Key: key,
    ConsistentRead: true,
    ...some,
  });
  const { Item: item } = await table.client.send(command);
  return item ?? null;
}

/**
 * As `getItem`, many at once, each once, in the order of the keys; those that are not there are
 * left out.
 */
export async function getItems(table: DynamoTable, keys: readonly ItemKey[]): Promise<Item[]> {
  const found = new Map<string, Item>();
  // DynamoDB refuses a key that comes twice, and an index that lags behind may give an item by its
  // old place and its new one.
  const asked = new Map(keys.map(({ pk, sk }) => [placeOf({ pk, sk }), { pk, sk }]));
  let open: readonly Item[] = [...asked.values()];
  for (let empty = 0; open.length > 0; ) {
    const command = new BatchGetCommand({
      RequestItems: { [table.name]: { Keys: open.slice(0, batchMax), ConsistentRead: true } },
    });
    const { Responses: responses = {}, UnprocessedKeys: unprocessed = {} } =
      await table.client.send(command);
    const items = responses[table.name] ?? [];
    for (const item of items) found.set(placeOf(item), item);
    open = [...open.slice(batchMax), ...(unprocessed[table.name]?.Keys ?? [])];
    empty = items.length === 0 ? empty + 1 : 0;
    if (empty > 0 && open.length > 0) await setTimeout(pauseMs(empty)); // none there, or throttled: then the rest must not be asked for at full speed
  }
  return [...asked.keys()].map((place) => found.get(place)).filter((item) => item !== undefined);
}

/**
 * Whole items from the table, as they are after every write that was acknowledged; keys from an
 * index, which lags behind by a moment.
 */
export async function queryItems(table: DynamoTable, query: Query): Promise<Item[]> {
  const items: Item[] = [];
  let from: Record<string, unknown> | undefined;
  do {
    const rest = query.max === undefined ? undefined : query.max - items.length;
    const page = await table.client.send(
      new QueryCommand({ ...inputOf(table, query), Limit: rest, ExclusiveStartKey: from }),
    );
    items.push(...(page.Items ?? []));
    from = page.LastEvaluatedKey;
  } while (from && items.length !== query.max);
  return items;
}

/** How many items a query finds. */
export async function countItems(table: DynamoTable, query: Query): Promise<number> {
  let count = 0;
  let from: Record<string, unknown> | undefined;
  do {
    const page = await table.client.send(
      new QueryCommand({ ...inputOf(table, query), Select: "COUNT", ExclusiveStartKey: from }),
    );
    count += page.Count ?? 0;
    from = page.LastEvaluatedKey;
  } while (from);
  return count;
}

/**
 * Stores all of the items, and makes other writes with them; or none, and gives false where one of
 * their keys is taken.
 */
export function putNew(
  table: DynamoTable,
  items: readonly (Item & ItemKey)[],
  others: readonly Write[] = [],
): Promise<boolean> {
  return transact(table, [
    ...items.map((Item) => ({
      Put: { TableName: table.name, Item, ConditionExpression: "attribute_not_exists(pk)" },
    })),
    ...others,
  ]);
}

/**
 * Makes all of the writes, or none and gives false where a condition was not met. Others that write
 * the same items at this moment are given way to and the writes tried again. The SDK repeats a
 * request whose answer was lost under the same token, so it is never made twice.
 */
export async function transact(table: DynamoTable, writes: readonly Write[]): Promise<boolean> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await table.client.send(new TransactWriteCommand({ TransactItems: [...writes] }));
      return true;
    } catch (error) {
      if (!(error instanceof TransactionCanceledException)) throw error;
      const reasons = (error.CancellationReasons ?? []).map(({ Code }) => Code);
      if (reasons.includes("ConditionalCheckFailed")) return false;
      if (attempt === transactAttemptsMax || !reasons.every((reason) => passing.includes(reason)))
        throw error;
      await setTimeout(pauseMs(attempt));
    }
  }
}

/** The key of an item that was read. */
export function keyIn(item: Item): ItemKey {
  return { pk: text(item, "pk"), sk: text(item, "sk") };
}

export function text(item: Item, attribute: string): string {
  const value = item[attribute];
  if (typeof value !== "string") throw new TypeError(`Attribute ${attribute} holds no text.`);
  return value;
}

export function number(item: Item, attribute: string): number {
  const value = item[attribute];
  if (typeof value !== "number") throw new TypeError(`Attribute ${attribute} holds no number.`);
  return value;
}

function inputOf(
  table: DynamoTable,
  { index, partition, after, before, descending = false }: Query,
): QueryCommandInput {
  const { partitionKey, sortKey } = index === undefined ? tableSchema : tableSchema.indexes[index];
  const bound = after !== undefined || before !== undefined;
  const range =
    after === undefined
      ? "#sort < :before"
      : before === undefined
        ? "#sort > :after"
        : "#sort BETWEEN :after AND :before";
  return {
    TableName: table.name,
    ...(index === undefined ? { ConsistentRead: true } : { IndexName: index }),
    KeyConditionExpression: `#partition = :partition${bound ? ` AND ${range}` : ""}`,
    ExpressionAttributeNames: { "#partition": partitionKey, ...(bound && { "#sort": sortKey }) },
    ExpressionAttributeValues: {
      ":partition": partition,
      ...(after !== undefined && { ":after": after }),
      ...(before !== undefined && { ":before": before }),
    },
    ScanIndexForward: !descending,
  };
}

function placeOf(item: Item | ItemKey): string {
  return keyOf(String(item.pk), String(item.sk));
}

/** Doubles with each attempt; by chance, so that those who collided do not collide again. */
function pauseMs(attempt: number): number {
  return Math.random() * Math.min(1_000, 20 * 2 ** attempt);
}

/** The newest items of several partitions of one index, newest first: their keys. */
export async function newestOf(
  table: DynamoTable,
  partitions: readonly Query[],
  page: { max: number; before: string | null },
): Promise<Item[]> {
  const { max, before } = page;
  const query = { descending: true, max, ...(before !== null && { before }) };
  const found = await Promise.all(
    partitions.map((partition) => queryItems(table, { ...partition, ...query })),
  );
  const newestFirst = found.flat().sort((a, b) => (text(a, "newest") < text(b, "newest") ? 1 : -1));
  return newestFirst.slice(0, max);
}

/** The table's `timeToLive` counts seconds since 1970. */
export function secondsOf(ms: number): number {
  return Math.ceil(ms / 1_000);
}
