import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { SQSClient } from "@aws-sdk/client-sqs";
import { type DynamoTable, dynamoTable } from "../../adapters/aws/dynamo-table.ts";
import { openAws, openModelBucket } from "../../adapters/aws/open-aws.ts";
import { readSecret } from "../../adapters/aws/read-secret.ts";
import { s3Models } from "../../adapters/aws/s3-models.ts";
import { sqsWake } from "../../adapters/aws/sqs-wake.ts";
import { type Config, readConfig } from "../../adapters/config.ts";
import type { Log } from "../../api/context.ts";
import type { Clock, Models, Ports } from "../../core/ports.ts";

/** What the functions share: the ports in AWS, opened once for each instance of a function. */
export interface CloudConnection {
  readonly config: Config;
  readonly ports: Ports;
  readonly secret: string;
  readonly table: DynamoTable;
  /** Starts who delivers webhooks. */
  wake(): Promise<void>;
  readonly log: Log;
}

const clock: Clock = { now: () => Date.now() };
const noModels: Models = { list: async () => [] };

/**
 * Throws AppError SETTING_INVALID with all mistakes at once; the function's instance is then
 * started anew.
 */
export async function connectCloud(): Promise<CloudConnection> {
  const config = readConfig();
  const store = await openAws(config, clock);
  const secret = config.secret ?? (await readSecret(config.secretArn ?? ""));
  const bucket = openModelBucket(config);
  const models = bucket ? s3Models(bucket, config.model, store.registry.aliases) : noModels;
  const wake = sqsWake(new SQSClient({}), config.awsWakeQueueUrl);
  const table = dynamoTable(new DynamoDBClient({}), config.awsTable ?? "");
  return {
    config,
    ports: { ...store, models, clock },
    secret,
    table,
    wake: () => wake(0),
    log: jsonLog,
  };
}

/** Lines of JSON, as CloudWatch reads them. */
const jsonLog: Log = {
  info: (fields, message) => write("info", fields, message),
  error: (fields, message) => write("error", fields, message),
};

function write(level: string, fields: object, msg: string): void {
  process.stdout.write(
    `${JSON.stringify({ level, time: Date.now(), ...fields, msg }, withErrors)}\n`,
  );
}

function withErrors(_key: string, value: unknown): unknown {
  return value instanceof Error
    ? { type: value.name, message: value.message, stack: value.stack }
    : value;
}
