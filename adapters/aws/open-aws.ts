import "./quiet-sdk.ts";
import { DescribeTableCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { HeadBucketCommand } from "@aws-sdk/client-s3";
import { GetQueueAttributesCommand, SQSClient } from "@aws-sdk/client-sqs";
import { AppError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import type { Config } from "../config.ts";
import type { Store } from "../store.ts";
import { awsProbe } from "./aws-probe.ts";
import { dynamoAudit } from "./dynamo-audit.ts";
import { dynamoBudgets } from "./dynamo-budgets.ts";
import { markedImages } from "./dynamo-image-refs.ts";
import { dynamoModels } from "./dynamo-models.ts";
import { dynamoRetention } from "./dynamo-retention.ts";
import { dynamoRuns } from "./dynamo-runs.ts";
import { type DynamoTable, dynamoTable } from "./dynamo-table.ts";
import { dynamoTenants } from "./dynamo-tenants.ts";
import { dynamoWebhooks } from "./dynamo-webhooks.ts";
import { s3Images } from "./s3-images.ts";
import { type Bucket, openS3 } from "./s3-objects.ts";
import { sqsQueue } from "./sqs-queue.ts";
import { nobody, sqsWake, type Wake } from "./sqs-wake.ts";

/**
 * The store in AWS: one table of DynamoDB, one bucket of S3, one queue of SQS with its dead
 * letters. Credentials and endpoints come from where the SDK looks for them. Throws AppError
 * SETTING_INVALID that names every resource that cannot be used.
 */
export async function openAws(config: Config, clock: Clock): Promise<Store> {
  const { region, table, bucket, queueUrl, deadLettersUrl } = requireAws(config);
  const dynamo = new DynamoDBClient({ region });
  const sqs = new SQSClient({ region });
  const s3 = openClient(config);
  const close = async () => {
    for (const client of [dynamo, sqs, s3]) client.destroy();
  };
  try {
    await requireAll({
      [`VEDERE_AWS_TABLE: the table ${table}`]: () =>
        dynamo.send(new DescribeTableCommand({ TableName: table })),
      [`VEDERE_AWS_BUCKET: the bucket ${bucket}`]: () =>
        s3.send(new HeadBucketCommand({ Bucket: bucket })),
      [`VEDERE_AWS_QUEUE: the queue ${queueUrl}`]: () =>
        sqs.send(new GetQueueAttributesCommand({ QueueUrl: queueUrl })),
      [`VEDERE_AWS_DEAD_LETTERS: the queue ${deadLettersUrl}`]: () =>
        sqs.send(new GetQueueAttributesCommand({ QueueUrl: deadLettersUrl })),
    });
  } catch (error) {
    await close();
    throw error;
  }
  const records = dynamoTable(dynamo, table);
  const queue = sqsQueue(sqs, { queue: queueUrl, deadLetters: deadLettersUrl }, clock);
  const images = s3Images({ client: s3, name: bucket }, clock);
  return {
    ...inTable(records, config, { clock, wake: sqsWake(sqs, config.awsWakeQueueUrl) }),
    probe: awsProbe(records, queue, clock),
    images: markedImages(images, records, clock),
    uploads: null,
    retention: dynamoRetention(records, images, clock),
    sessions: null, // the gateway in AWS serves no page
    queue,
    close,
  };
}

/** The bucket of the images. Throws AppError SETTING_INVALID. */
export function openBucket(config: Config): Bucket {
  return { client: openClient(config), name: requireAws(config).bucket };
}

/** The bucket from which workers fetch models; null where there is none. */
export function openModelBucket(config: Config): Bucket | null {
  return config.awsModelBucket === null
    ? null
    : { client: openClient(config), name: config.awsModelBucket };
}

function openClient({ awsRegion, s3Endpoint }: Config) {
  return openS3({
    ...(awsRegion !== null && { region: awsRegion }),
    ...(s3Endpoint !== null && { endpoint: s3Endpoint, forcePathStyle: true }),
  });
}

/** What lies in the table alone. Throws AppError SETTING_INVALID. */
export async function openAwsTable(
  config: Config,
  clock: Clock,
): Promise<ReturnType<typeof inTable> & { close(): void }> {
  const { region, table } = requireAws(config);
  const dynamo = new DynamoDBClient({ region });
  try {
    await requireAll({
      [`VEDERE_AWS_TABLE: the table ${table}`]: () =>
        dynamo.send(new DescribeTableCommand({ TableName: table })),
    });
  } catch (error) {
    dynamo.destroy();
    throw error;
  }
  return {
    ...inTable(dynamoTable(dynamo, table), config, { clock, wake: nobody }),
    close: () => dynamo.destroy(),
  };
}

function inTable(
  table: DynamoTable,
  { retentionDays }: Config,
  { clock, wake }: { clock: Clock; wake: Wake },
) {
  const retentionMs = retentionDays === null ? null : retentionDays * 86_400_000;
  return {
    runs: dynamoRuns(table, { retentionMs, wake }),
    tenants: dynamoTenants(table),
    audit: dynamoAudit(table),
    budgets: dynamoBudgets(table),
    webhooks: dynamoWebhooks(table, { clock, retentionMs, wake }),
    registry: dynamoModels(table),
  };
}

/** The configuration has made sure that all are there where the store is AWS. */
export function requireAws({
  awsRegion: region,
  awsTable: table,
  awsBucket: bucket,
  awsQueueUrl: queueUrl,
  awsDeadLettersUrl: deadLettersUrl,
}: Config) {
  if (
    region === null ||
    table === null ||
    bucket === null ||
    queueUrl === null ||
    deadLettersUrl === null
  ) {
    throw new Error("The store is AWS, and its resources are not named.");
  }
  return { region, table, bucket, queueUrl, deadLettersUrl };
}

/** Asks for all at once, and tells of all that cannot be used. */
async function requireAll(checks: Readonly<Record<string, () => Promise<unknown>>>): Promise<void> {
  const names = Object.keys(checks);
  const results = await Promise.allSettled(Object.values(checks).map((check) => check()));
  const mistakes = results.flatMap((result, i) =>
    result.status === "rejected" ? [`${names[i]} cannot be used: ${reasonOf(result.reason)}`] : [],
  );
  if (mistakes.length === 0) return;
  throw new AppError(
    "SETTING_INVALID",
    ["The store in AWS cannot be used:", ...mistakes].join("\n  "),
    {
      fix: "Correct the settings, or give this process's role the permissions that docs/operations.md lists.",
    },
  );
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message === "" || error.message === "UnknownError" ? error.name : error.message;
}
