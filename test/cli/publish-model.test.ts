import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { s3Models } from "../../adapters/aws/s3-models.ts";
import { type Bucket, openS3 } from "../../adapters/aws/s3-objects.ts";
import { readConfig } from "../../adapters/config.ts";
import { modelPlaces, openModels } from "../../adapters/model-folders.ts";
import { fetchModels, publishModel } from "../../cli/publish-model.ts";
import type { ModelInfo } from "../../core/ports.ts";
import { awsConfig, startEmulators } from "../contract/aws-emulators.ts";
import { vedere } from "./vedere.ts";

let aws: Awaited<ReturnType<typeof startEmulators>>;
let bucket: Bucket;
let nano: ModelInfo;
beforeAll(async () => {
  aws = await startEmulators();
  const [model] = await openModels(
    modelPlaces(readConfig({}, { dataDir: tmpdir() })),
    async () => [],
  ).list();
  if (!model) throw new Error("The embedded model is there.");
  nano = model;
});
afterAll(() => aws.stop());
beforeEach(() => {
  const client = openS3({ ...awsConfig, endpoint: aws.endpoint, forcePathStyle: true });
  onTestFinished(() => client.destroy());
  bucket = { client, name: aws.createBucket() };
});

test("the command leaves an entry in the audit log, before the bucket changes", async () => {
  const data = emptyFolder();
  const env = {
    AWS_ENDPOINT_URL_S3: aws.endpoint,
    AWS_REGION: awsConfig.region,
    AWS_ACCESS_KEY_ID: awsConfig.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: awsConfig.credentials.secretAccessKey,
  };
  const publishTo = (name: string) =>
    vedere(["models", "publish", nano.id, "--data", data], {
      ...env,
      VEDERE_AWS_MODEL_BUCKET: name,
    });
  expect(await publishTo(bucket.name)).toMatchObject({ code: 0 });
  expect((await publishTo("no-such-bucket")).code).not.toBe(0);
  const { stdout } = await vedere(["audit", "export", "--data", data]);
  const entries = stdout.trimEnd().split("\n");
  expect(entries.map((line) => JSON.parse(line))).toMatchObject(
    ["no-such-bucket", bucket.name].map((name) => ({
      action: "model.publish",
      actor: { kind: "COMMAND_LINE" },
      subject: { type: "Model", id: `${nano.id}@${nano.revision}` },
      details: { bucket: name },
    })),
  );
});

const none = new Set<string>();
const publish = (now = 5) => publishModel(bucket, nano, { now, onFile: () => {} });
const emptyFolder = () => {
  const into = mkdtempSync(join(tmpdir(), "vedere-fetch-"));
  onTestFinished(() => rmSync(into, { recursive: true }));
  return into;
};

test("a published model is listed by gateways, without a file of theirs", async () => {
  const models = s3Models(bucket, null, async () => [{ name: "prod", target: nano.id }]);
  expect(await models.list()).toEqual([]);
  await publish();
  const [listed] = await models.list({ isFresh: true });
  const { id, revision, precision, tasks, defaults, description } = nano;
  expect(listed).toMatchObject({
    id,
    revision,
    precision,
    tasks,
    defaults,
    description,
    isDefault: true,
    aliases: ["prod"],
    fault: null,
  });
});

test("a worker fetches it once, whole, and serves it", async () => {
  await publish();
  const into = emptyFolder();
  const name = `${nano.id}@${nano.revision}`;
  expect(await fetchModels(bucket, { into, has: none })).toEqual([name]);
  const places = {
    ...modelPlaces(readConfig({}, { dataDir: into })),
    pulled: into,
    embedded: join(into, "none"),
  };
  const [fetched] = await openModels(places, async () => []).list();
  expect(fetched).toMatchObject({
    id: nano.id,
    revision: nano.revision,
    fault: null,
    folder: join(into, name),
  });
});

test("what a worker has it does not fetch", async () => {
  await publish();
  const into = emptyFolder();
  expect(
    await fetchModels(bucket, { into, has: new Set([`${nano.id}@${nano.revision}`]) }),
  ).toEqual([]);
  expect(readdirSync(into)).toEqual([]);
});

test("a file that was changed in the bucket is refused, and nothing of the model is kept", async () => {
  const { files } = await publish();
  const Key = `models/${nano.id}@${nano.revision}/config.json`;
  await bucket.client.send(
    new PutObjectCommand({ Bucket: bucket.name, Key, Body: "x".repeat(files[0]?.bytes ?? 1) }),
  );
  const into = emptyFolder();
  await expect(fetchModels(bucket, { into, has: none })).rejects.toMatchObject({
    code: "MODEL_UNAVAILABLE",
  });
  expect(
    await openModels(
      { ...modelPlaces(readConfig({}, { dataDir: into })), pulled: into },
      async () => [],
    ).list(),
  ).toHaveLength(1);
});
