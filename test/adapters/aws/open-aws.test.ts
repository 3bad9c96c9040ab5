import { expect, onTestFinished, test } from "vitest";
import { openAws } from "../../../adapters/aws/open-aws.ts";
import { readConfig } from "../../../adapters/config.ts";
import { awsConfig, startEmulators } from "../../contract/aws-emulators.ts";

const complete = {
  VEDERE_STORE: "aws",
  AWS_REGION: "eu-central-1",
  VEDERE_AWS_TABLE: "vedere",
  VEDERE_AWS_BUCKET: "vedere-images",
  VEDERE_AWS_QUEUE: "https://sqs.example.com/1/runs",
  VEDERE_AWS_DEAD_LETTERS: "https://sqs.example.com/1/dead",
  VEDERE_SECRET: "s".repeat(32),
};

test("a complete configuration is taken", () => {
  expect(readConfig(complete)).toMatchObject({
    store: "aws",
    awsTable: "vedere",
    s3Endpoint: null,
  });
});

test("all that is missing is told at once", () => {
  const missing = [
    "AWS_REGION",
    "VEDERE_AWS_TABLE",
    "VEDERE_AWS_BUCKET",
    "VEDERE_AWS_QUEUE",
    "VEDERE_AWS_DEAD_LETTERS",
    "VEDERE_SECRET",
  ];
  const read = () => readConfig({ VEDERE_STORE: "aws" });
  for (const name of missing)
    expect(read).toThrow(
      expect.objectContaining({ message: expect.stringContaining(`${name}: is needed`) }),
    );
});

test("what is there but wrong is told once", () => {
  const read = () => readConfig({ ...complete, VEDERE_AWS_QUEUE: "runs", VEDERE_AWS_TABLE: "" });
  expect(read).toThrow(/VEDERE_AWS_QUEUE: "runs" is not the URL of a queue/);
  expect(read).toThrow(/VEDERE_AWS_TABLE: is needed/);
  expect(read).not.toThrow(/VEDERE_AWS_QUEUE: is needed/);
});

test("all that cannot be used is told at once, at start", async () => {
  const aws = await startEmulators();
  onTestFinished(() => aws.stop());
  const settings = {
    AWS_ACCESS_KEY_ID: awsConfig.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: awsConfig.credentials.secretAccessKey,
    AWS_ENDPOINT_URL_SQS: aws.endpoint,
    AWS_ENDPOINT_URL_DYNAMODB: aws.endpoint, // nothing there speaks DynamoDB
    AWS_MAX_ATTEMPTS: "1",
  };
  const before = { ...process.env };
  Object.assign(process.env, settings);
  onTestFinished(() => {
    process.env = before;
  });
  const { queue } = await aws.createQueue({ receiveCountMax: 5 });
  const config = readConfig({
    ...complete,
    AWS_ENDPOINT_URL_S3: aws.endpoint,
    VEDERE_AWS_QUEUE: queue,
    VEDERE_AWS_DEAD_LETTERS: `${aws.endpoint}/0/none`,
  });
  const opened = openAws(config, { now: () => 0 });
  await expect(opened).rejects.toMatchObject({
    code: "SETTING_INVALID",
    fix: expect.stringContaining("operations.md"),
  });
  const message = await opened.then(
    () => "",
    (error: Error) => error.message,
  );
  for (const name of [
    "VEDERE_AWS_TABLE: the table vedere",
    "VEDERE_AWS_BUCKET: the bucket vedere-images",
    "VEDERE_AWS_DEAD_LETTERS: the queue",
  ])
    expect(message).toContain(name);
  expect(message).not.toContain("VEDERE_AWS_QUEUE");
});
