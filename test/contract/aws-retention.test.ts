import { afterAll, beforeAll, describe } from "vitest";
import { dynamoAudit } from "../../adapters/aws/dynamo-audit.ts";
import { markedImages } from "../../adapters/aws/dynamo-image-refs.ts";
import { dynamoRetention } from "../../adapters/aws/dynamo-retention.ts";
import { dynamoRuns } from "../../adapters/aws/dynamo-runs.ts";
import { dynamoTable } from "../../adapters/aws/dynamo-table.ts";
import { dynamoTenants } from "../../adapters/aws/dynamo-tenants.ts";
import { dynamoWebhooks } from "../../adapters/aws/dynamo-webhooks.ts";
import { s3Images } from "../../adapters/aws/s3-images.ts";
import { openS3 } from "../../adapters/aws/s3-objects.ts";
import { nobody } from "../../adapters/aws/sqs-wake.ts";
import { awsConfig, startEmulators } from "./aws-emulators.ts";
import { type DynamoDbLocal, dynamoDbIsMissing, startDynamoDb } from "./dynamodb-local.ts";
import { retentionContract } from "./retention.ts";

describe.skipIf(dynamoDbIsMissing)("DynamoDB Local and emulated S3", () => {
  let dynamo: DynamoDbLocal;
  let aws: Awaited<ReturnType<typeof startEmulators>>;
  beforeAll(async () => {
    [dynamo, aws] = await Promise.all([startDynamoDb(), startEmulators()]);
  }, 180_000); // fetches it where it was never used
  afterAll(async () => {
    await Promise.all([dynamo?.stop(), aws?.stop()]);
  });

  retentionContract(
    "DynamoDB and S3",
    async (clock) => {
      const table = dynamoTable(dynamo.client, await dynamo.createTable());
      const client = openS3({ ...awsConfig, endpoint: aws.endpoint, forcePathStyle: true });
      const images = s3Images({ client, name: aws.createBucket() }, clock);
      const kept = { retentionMs: null, wake: nobody };
      return {
        runs: dynamoRuns(table, kept),
        webhooks: dynamoWebhooks(table, { clock, ...kept }),
        images: markedImages(images, table, clock),
        retention: dynamoRetention(table, images, clock),
        audit: dynamoAudit(table),
        tenants: dynamoTenants(table),
        close: async () => client.destroy(),
      };
    },
    40,
  );
});
