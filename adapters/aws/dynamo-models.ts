import { DeleteCommand, PutCommand } from "@aws-sdk/lib-dynamodb";
import type { HostedModel, ModelRegistry } from "../../core/ports.ts";
import { type DynamoTable, number, queryItems, secondsOf, text } from "./dynamo-table.ts";

const dayMs = 86_400_000;
const aliases = "ALIASES";
const workers = "WORKERS";

/**
 * Aliases of models, and what workers report about them, in DynamoDB: one partition each. The table
 * forgets a silent worker after a day.
 */
export function dynamoModels(table: DynamoTable): ModelRegistry {
  const { client, name: TableName } = table;
  return {
    async aliases() {
      const items = await queryItems(table, { partition: aliases });
      return items.map((item) => ({ name: text(item, "sk"), target: text(item, "target") }));
    },
    async setAlias({ name, target }) {
      await client.send(new PutCommand({ TableName, Item: { pk: aliases, sk: name, target } }));
    },
    async removeAlias(name) {
      const removed = await client.send(
        new DeleteCommand({ TableName, Key: { pk: aliases, sk: name }, ReturnValues: "ALL_OLD" }),
      );
      return removed.Attributes !== undefined;
    },
    async report({ workerId, at, models }) {
      const expiresAt = secondsOf(at + dayMs);
      await client.send(
        new PutCommand({
          TableName,
          Item: { pk: workers, sk: workerId, at, data: JSON.stringify(models), expiresAt },
        }),
      );
    },
    async reports(since) {
      const items = await queryItems(table, { partition: workers });
      return items
        .map((item) => {
          const models: HostedModel[] = JSON.parse(text(item, "data")); // written above
          return { workerId: text(item, "sk"), at: number(item, "at"), models };
        })
        .filter(({ at }) => at >= since);
    },
    async removeReport(workerId) {
      await client.send(new DeleteCommand({ TableName, Key: { pk: workers, sk: workerId } }));
    },
  };
}
