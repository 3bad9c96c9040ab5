import { createHash } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { awsConfig, startEmulators } from "../contract/aws-emulators.ts";
import {
  type DynamoDbLocal,
  dynamoDbIsMissing,
  startDynamoDb,
} from "../contract/dynamodb-local.ts";
import { picture } from "../picture.ts";
import { startReceiver } from "../webhook-receiver.ts";
import { type Service, startService } from "./service.ts";

interface Created {
  runCreate: { run: { id: string } | null; userErrors: object[] };
}
interface Uploads {
  uploadsCreate: {
    targets: {
      uploadId: string;
      method: string;
      url: string;
      headers: { name: string; value: string }[];
    }[];
  };
}

describe.skipIf(dynamoDbIsMissing)("the service on emulated AWS", () => {
  let dynamo: DynamoDbLocal;
  let aws: Awaited<ReturnType<typeof startEmulators>>;
  let service: Service;
  beforeAll(async () => {
    [dynamo, aws] = await Promise.all([startDynamoDb(), startEmulators()]);
    const { queue, deadLetters } = await aws.createQueue({ receiveCountMax: 5 });
    service = await startService({
      workers: 2,
      env: {
        VEDERE_STORE: "aws",
        VEDERE_AWS_TABLE: await dynamo.createTable(),
        VEDERE_AWS_BUCKET: aws.createBucket(),
        VEDERE_AWS_QUEUE: queue,
        VEDERE_AWS_DEAD_LETTERS: deadLetters,
        VEDERE_SECRET: "a secret of the tests, long enough",
        VEDERE_FETCH_PRIVATE: "true",
        AWS_REGION: awsConfig.region,
        AWS_ACCESS_KEY_ID: awsConfig.credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: awsConfig.credentials.secretAccessKey,
        AWS_ENDPOINT_URL_DYNAMODB: dynamo.endpoint,
        AWS_ENDPOINT_URL_SQS: aws.endpoint,
        AWS_ENDPOINT_URL_S3: aws.endpoint,
      },
    });
  }, 180_000);
  afterAll(async () => {
    await service?.stop();
    await Promise.all([dynamo?.stop(), aws?.stop()]);
  });

  test("uploads, runs on two workers, webhooks and the ledger, each once", async () => {
    const receiver = await startReceiver();
    const endpoint =
      "mutation ($url: URL!) { webhookEndpointCreate(input: { url: $url }) { secret } }";
    const { webhookEndpointCreate } = await service.ask<{
      webhookEndpointCreate: { secret: string };
    }>(endpoint, { url: receiver.url });

    const bytes = await picture();
    const upload =
      "mutation ($files: [UploadFileInput!]!) { uploadsCreate(input: { files: $files }) { targets { uploadId method url headers { name value } } } }";
    const files = [
      { byteSize: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") },
    ];
    const [target] = (await service.ask<Uploads>(upload, { files })).uploadsCreate.targets;
    if (!target) throw new Error("There is a target for each file.");
    const headers = target.headers
      .filter(({ name }) => name !== "content-length")
      .map(({ name, value }): [string, string] => [name, value]);
    expect((await fetch(target.url, { method: target.method, headers, body: bytes })).status).toBe(
      200,
    );

    const create =
      "mutation ($input: RunCreateInput!) { runCreate(input: $input) { run { id } userErrors { message } } }";
    const ids = await Promise.all(
      Array.from({ length: 12 }, async (_, i) => {
        const input = {
          source: { uploadId: target.uploadId },
          tasks: [{ caption: {} }, { detectObjects: {} }],
          idempotencyKey: `run ${i}`,
        };
        const { runCreate } = await service.ask<Created>(create, { input });
        expect(runCreate.userErrors).toEqual([]);
        return runCreate.run?.id;
      }),
    );
    await expect
      .poll(() => new Set(receiver.received.map(({ headers }) => headers["webhook-id"])).size, {
        timeout: 60_000,
      })
      .toBe(12);
    const told = receiver.received.map(({ headers, body }) =>
      new Webhook(webhookEndpointCreate.secret).verify(body, headers as Record<string, string>),
    );
    expect(
      new Set(told.map((event) => (event as { data: { run: { id: string } } }).data.run.id)),
    ).toEqual(new Set(ids));

    const { runs, usage } = await service.ask<{
      runs: { edges: { node: { status: string } }[] };
      usage: { runs: number; tasks: number };
    }>(
      '{ runs(first: 100) { edges { node { status } } } usage(from: "2000-01-01T00:00:00Z", to: "2100-01-01T00:00:00Z") { runs tasks } }',
    );
    expect(runs.edges.map(({ node }) => node.status)).toEqual(Array(12).fill("SUCCEEDED"));
    expect(usage).toEqual({ runs: 12, tasks: 24 });
  }, 90_000);
});
