import { DeleteCommand, PutCommand } from "@aws-sdk/lib-dynamodb";
import { type DynamoTable, getItem, type ItemKey, number } from "./dynamo-table.ts";

const place: ItemKey = { pk: "FLEET", sk: "IDLE" };

/** What the scaler remembers from one minute to the next. */
export function fleetMemory(table: DynamoTable) {
  const { client, name: TableName } = table;
  return {
    /**
     * Since when it has been idle, in part or as a whole, in milliseconds since 1970; null while it
     * is not.
     */
    async idleSince({ isIdle, now }: { isIdle: boolean; now: number }): Promise<number | null> {
      const item = await getItem(table, place);
      if (isIdle && item) return number(item, "since");
      if (isIdle) await client.send(new PutCommand({ TableName, Item: { ...place, since: now } }));
      else if (item) await client.send(new DeleteCommand({ TableName, Key: place }));
      return isIdle ? now : null;
    },
  };
}
