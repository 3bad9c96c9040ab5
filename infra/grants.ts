import { Effect, type IGrantable, PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { DataStack } from "./data-stack.ts";

/**
 * What the adapters in adapters/aws do with each resource, and nothing else: no scan, no change of
 * a resource.
 */
const tableActions = [
  "dynamodb:GetItem",
  "dynamodb:BatchGetItem",
  "dynamodb:Query",
  "dynamodb:PutItem",
  "dynamodb:UpdateItem",
  "dynamodb:DeleteItem",
  "dynamodb:ConditionCheckItem",
  "dynamodb:DescribeTable",
];

export type Need =
  | "table"
  | "images"
  | "eraseImages"
  | "readImages"
  | "seeImages"
  | "models"
  | "sendRuns"
  | "workRuns"
  | "seeRuns"
  | "wake"
  | "secret";

/** Gives a role what it needs, each action on the resources that it is for. */
export function grant(data: DataStack, grantee: IGrantable, needs: readonly Need[]): void {
  const { table, images, models, runs, deadRuns, wakes, secret } = data;
  const queues = [runs.queueArn, deadRuns.queueArn];
  const statements: Readonly<
    Record<Need, readonly { actions: readonly string[]; resources: readonly string[] }[]>
  > = {
    table: [{ actions: tableActions, resources: [table.tableArn, `${table.tableArn}/index/*`] }],
    images: [
      {
        actions: ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
        resources: [images.arnForObjects("tenants/*")],
      },
      { actions: ["s3:ListBucket"], resources: [images.bucketArn] },
    ],
    eraseImages: [
      {
        actions: ["s3:GetObject", "s3:DeleteObject"],
        resources: [images.arnForObjects("tenants/*")],
      },
      { actions: ["s3:ListBucket"], resources: [images.bucketArn] },
    ],
    readImages: [
      { actions: ["s3:GetObject"], resources: [images.arnForObjects("tenants/*")] },
      { actions: ["s3:ListBucket"], resources: [images.bucketArn] },
    ],
    seeImages: [{ actions: ["s3:ListBucket"], resources: [images.bucketArn] }], // that the bucket is there is checked at start
    models: [
      { actions: ["s3:GetObject"], resources: [models.arnForObjects("*")] },
      { actions: ["s3:ListBucket"], resources: [models.bucketArn] },
    ],
    sendRuns: [{ actions: ["sqs:SendMessage"], resources: [runs.queueArn] }],
    workRuns: [
      {
        actions: ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"],
        resources: [runs.queueArn],
      },
      { actions: ["sqs:SendMessage"], resources: [deadRuns.queueArn] },
    ],
    seeRuns: [{ actions: ["sqs:GetQueueAttributes"], resources: queues }],
    wake: [{ actions: ["sqs:SendMessage"], resources: [wakes.queueArn] }],
    secret: [{ actions: ["secretsmanager:GetSecretValue"], resources: [secret.secretArn] }],
  };
  if (needs.includes("table")) grantee.grantPrincipal.addToPrincipalPolicy(auditIsKept(table));
  for (const need of needs) {
    for (const { actions, resources } of statements[need]) {
      grantee.grantPrincipal.addToPrincipalPolicy(
        new PolicyStatement({ actions: [...actions], resources: [...resources] }),
      );
    }
  }
}

/**
 * Nobody changes or deletes an entry of the audit log; adding one asks that its key is not taken.
 */
function auditIsKept({ tableArn }: DataStack["table"]): PolicyStatement {
  return new PolicyStatement({
    effect: Effect.DENY,
    actions: [
      "dynamodb:UpdateItem",
      "dynamodb:DeleteItem",
      "dynamodb:BatchWriteItem",
      "dynamodb:PartiQLUpdate",
      "dynamodb:PartiQLDelete",
    ],
    resources: [tableArn],
    conditions: { "ForAnyValue:StringLike": { "dynamodb:LeadingKeys": ["AUDIT#*"] } },
  });
}

/** The settings by which every process of the service knows the data. */
export function settingsOf(data: DataStack): Record<string, string> {
  return {
    VEDERE_STORE: "aws",
    VEDERE_AWS_TABLE: data.table.tableName,
    VEDERE_AWS_BUCKET: data.images.bucketName,
    VEDERE_AWS_QUEUE: data.runs.queueUrl,
    VEDERE_AWS_DEAD_LETTERS: data.deadRuns.queueUrl,
    VEDERE_AWS_MODEL_BUCKET: data.models.bucketName,
    VEDERE_AWS_WAKE_QUEUE: data.wakes.queueUrl,
    VEDERE_SECRET_ARN: data.secret.secretArn,
  };
}
