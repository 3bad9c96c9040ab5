import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { listed } from "../../adapters/aws/aws-storage.ts";
import { openS3 } from "../../adapters/aws/s3-objects.ts";
import { awsConfig, startEmulators } from "../contract/aws-emulators.ts";
import {
  type DynamoDbLocal,
  dynamoDbIsMissing,
  startDynamoDb,
} from "../contract/dynamodb-local.ts";
import { vedere } from "./vedere.ts";

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "vedere-cli-storage-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

test("vedere storage prints a table, and JSON; a folder of an earlier release is left as it is", async () => {
  const data = join(await newFolder(), "data");
  await cp(join(import.meta.dirname, "../data-0.1.0"), data, { recursive: true });
  const { stdout, code } = await vedere(["storage", "--tenants", "--data", data]);
  expect(code).toBe(0);
  for (const line of [
    /^ {2}database +\d/m,
    /^ {4}runs +\d/m,
    /^ {2}images +\d.*\d files$/m,
    /free on this disk/,
  ])
    expect(stdout).toMatch(line);
  expect(stdout).toMatch(/^tenants\n {2}\S+ +.*\d runs.*\d images/m);
  const report = JSON.parse((await vedere(["storage", "--json", "--data", data])).stdout);
  expect(report).toMatchObject({ dataDir: data, tenants: null, isComplete: true });
  expect(report.database.groups.map(({ name }: { name: string }) => name)).toContain("runs");
  // Its tables were not brought up to date.
  expect(report.database.groups).toContainEqual({ name: "usage sums", bytes: 0 });
});

test("--help has examples; wrong seconds and a folder without data are told", async () => {
  expect((await vedere(["storage", "--help"])).stdout).toContain("$ vedere storage --tenants");
  const data = await newFolder();
  const wrong = await vedere(["storage", "--seconds", "soon", "--data", data]);
  expect(wrong).toMatchObject({ stdout: "", stderr: expect.stringContaining("--seconds 60") });
  const empty = await vedere(["storage", "--data", data]);
  expect(empty.code).not.toBe(0);
  expect(empty.stderr).toContain("vedere.db is missing");
});

describe.skipIf(dynamoDbIsMissing)("VEDERE_STORE=aws", () => {
  let dynamo: DynamoDbLocal;
  let aws: Awaited<ReturnType<typeof startEmulators>>;
  beforeAll(async () => {
    [dynamo, aws] = await Promise.all([startDynamoDb(), startEmulators()]);
  }, 180_000);
  afterAll(async () => {
    await Promise.all([dynamo?.stop(), aws?.stop()]);
  });

  test("tells the table's and the bucket's numbers, the bucket's up to a bound", async () => {
    const [table, name] = [await dynamo.createTable(), aws.createBucket()];
    const client = openS3({ ...awsConfig, endpoint: aws.endpoint, forcePathStyle: true });
    onTestFinished(() => client.destroy());
    for (const Key of ["a", "b", "c"])
      await client.send(new PutObjectCommand({ Bucket: name, Key, Body: Buffer.alloc(10) }));
    const { queue, deadLetters } = await aws.createQueue({ receiveCountMax: 5 });
    const env = {
      ...{ VEDERE_STORE: "aws", VEDERE_AWS_TABLE: table, VEDERE_AWS_BUCKET: name },
      ...{ VEDERE_AWS_QUEUE: queue, VEDERE_AWS_DEAD_LETTERS: deadLetters },
      VEDERE_SECRET: "a secret of the tests, long enough",
      AWS_REGION: awsConfig.region,
      AWS_ACCESS_KEY_ID: awsConfig.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: awsConfig.credentials.secretAccessKey,
      AWS_ENDPOINT_URL_DYNAMODB: dynamo.endpoint,
      AWS_ENDPOINT_URL_S3: aws.endpoint,
    };
    const { stdout, stderr } = await vedere(["storage", "--json"], env);
    expect(stdout, stderr).not.toBe("");
    expect(JSON.parse(stdout)).toMatchObject({
      table: { name: table, items: 0 },
      bucket: { name, objects: 3, bytes: 30, isComplete: true },
    });
    expect((await vedere(["storage"], env)).stdout).toContain("3 objects");
    expect(await listed({ client, name }, { pages: 2, perPage: 1 })).toEqual({
      ...{ objects: 2, bytes: 20, isComplete: false },
    });
  });
});
