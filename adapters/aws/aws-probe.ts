import { PutCommand } from "@aws-sdk/lib-dynamodb";
import type { Clock, Queue, StorageProbe } from "../../core/ports.ts";
import type { DynamoTable } from "./dynamo-table.ts";

/**
 * Writes one small item, always the same, and asks the queue for its attributes: what either of
 * them costs does not grow.
 */
export function awsProbe(
  { client, name }: DynamoTable,
  queue: Pick<Queue, "depth">,
  clock: Clock,
): StorageProbe {
  const Item = { pk: "PROBE", sk: "PROBE" };
  return {
    async write() {
      const put = new PutCommand({ TableName: name, Item: { ...Item, at: clock.now() } });
      await Promise.all([client.send(put), queue.depth()]);
    },
  };
}
