import { CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from "aws-cdk-lib";
import {
  AttributeType,
  Billing,
  ProjectionType,
  TableEncryptionV2,
  TableV2,
} from "aws-cdk-lib/aws-dynamodb";
import {
  BlockPublicAccess,
  Bucket,
  BucketEncryption,
  HttpMethods,
  ObjectOwnership,
} from "aws-cdk-lib/aws-s3";
import { Secret } from "aws-cdk-lib/aws-secretsmanager";
import { Queue, QueueEncryption } from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import { tableSchema } from "../adapters/aws/dynamo-schema.ts";
import { limits } from "../core/limits.ts";
import type { CloudConfig } from "./config.ts";
import { webhooksTimeout } from "./timeouts.ts";

const stringKey = (name: string) => ({ name, type: AttributeType.STRING });

/**
 * What must outlive every deployment: the table, the buckets, the queues, the service's secret.
 * Nothing here is deleted with the stack.
 */
export class DataStack extends Stack {
  readonly table: TableV2;
  readonly images: Bucket;
  readonly models: Bucket;
  readonly runs: Queue;
  readonly deadRuns: Queue;
  readonly wakes: Queue;
  readonly deadWakes: Queue;
  readonly secret: Secret;

  constructor(
    scope: Construct,
    id: string,
    { config, ...props }: StackProps & { config: CloudConfig },
  ) {
    super(scope, id, props);
    this.table = this.makeTable();
    const logs = this.makeBucket("AccessLogs", { expireDays: 90 });
    this.images = this.makeBucket("Images", { logs, expireDays: config.retentionDays });
    this.images.addCorsRule({
      allowedMethods: [HttpMethods.PUT],
      allowedOrigins: ["*"], // whoever holds a signed URL may PUT the announced bytes from where he likes
      allowedHeaders: ["content-type", "x-amz-checksum-sha256"],
      maxAge: 3_600,
    });
    this.models = this.makeBucket("Models", { logs, expireDays: null });
    const leaseSeconds = limits.lease.leaseMs / 1_000;
    // Workers give a run up by themselves after its last attempt; what kills them before they can
    // is dead two deliveries later.
    const runs = this.makeQueue("Runs", {
      visibility: Duration.seconds(leaseSeconds * 2),
      receives: limits.lease.attemptsMax + 2,
    });
    [this.runs, this.deadRuns] = [runs.queue, runs.dead];
    const wakes = this.makeQueue("Wakes", {
      visibility: Duration.seconds(webhooksTimeout.toSeconds() * 6),
      receives: 5,
    });
    [this.wakes, this.deadWakes] = [wakes.queue, wakes.dead];
    this.secret = new Secret(this, "Secret", {
      description:
        "Hashes API keys and seals webhook secrets: another one invalidates all of them.",
      generateSecretString: { passwordLength: 64, excludePunctuation: true },
      removalPolicy: RemovalPolicy.RETAIN,
    });
    for (const [name, value] of Object.entries({
      TableName: this.table.tableName,
      ImageBucketName: this.images.bucketName,
      ModelBucketName: this.models.bucketName,
      QueueUrl: this.runs.queueUrl,
      DeadLettersUrl: this.deadRuns.queueUrl,
      WakeQueueUrl: this.wakes.queueUrl,
      SecretArn: this.secret.secretArn,
    })) {
      new CfnOutput(this, name, { value });
    }
  }

  private makeTable(): TableV2 {
    const { partitionKey, sortKey, timeToLive, indexes } = tableSchema;
    return new TableV2(this, "Table", {
      partitionKey: stringKey(partitionKey),
      sortKey: stringKey(sortKey),
      timeToLiveAttribute: timeToLive,
      billing: Billing.onDemand(),
      encryption: TableEncryptionV2.awsManagedKey(),
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      deletionProtection: true,
      removalPolicy: RemovalPolicy.RETAIN,
      globalSecondaryIndexes: Object.entries(indexes).map(([indexName, index]) => ({
        indexName,
        partitionKey: stringKey(index.partitionKey),
        sortKey: stringKey(index.sortKey),
        projectionType: ProjectionType.KEYS_ONLY,
      })),
    });
  }

  private makeBucket(
    id: string,
    { logs, expireDays }: { logs?: Bucket; expireDays: number | null },
  ): Bucket {
    return new Bucket(this, id, {
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      encryption: BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      removalPolicy: RemovalPolicy.RETAIN,
      lifecycleRules: [
        { abortIncompleteMultipartUploadAfter: Duration.days(1) },
        ...(expireDays === null ? [] : [{ expiration: Duration.days(expireDays) }]),
      ],
      ...(logs
        ? { serverAccessLogsBucket: logs, serverAccessLogsPrefix: `${id.toLowerCase()}/` }
        : { objectOwnership: ObjectOwnership.BUCKET_OWNER_PREFERRED }),
    });
  }

  private makeQueue(
    id: string,
    { visibility, receives }: { visibility: Duration; receives: number },
  ): { queue: Queue; dead: Queue } {
    const kept = {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
      removalPolicy: RemovalPolicy.RETAIN,
    };
    const dead = new Queue(this, `Dead${id}`, kept);
    const queue = new Queue(this, id, {
      ...kept,
      visibilityTimeout: visibility,
      deadLetterQueue: { queue: dead, maxReceiveCount: receives },
    });
    return { queue, dead };
  }
}
