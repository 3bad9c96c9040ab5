import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { dynamoRuns } from "../../adapters/aws/dynamo-runs.ts";
import { dynamoTable } from "../../adapters/aws/dynamo-table.ts";
import { dynamoTenants } from "../../adapters/aws/dynamo-tenants.ts";
import { openS3 } from "../../adapters/aws/s3-objects.ts";
import { readConfig } from "../../adapters/config.ts";
import { modelPlaces, openModels } from "../../adapters/model-folders.ts";
import { publishModel } from "../../cli/publish-model.ts";
import { mintKey } from "../../core/tenant.ts";
import { bundleFunction, type FunctionName, root } from "../../infra/bundle.ts";
import { lackingHeaders } from "../api/lacking-headers.ts";
import { awsConfig, startEmulators } from "../contract/aws-emulators.ts";
import {
  type DynamoDbLocal,
  dynamoDbIsMissing,
  startDynamoDb,
} from "../contract/dynamodb-local.ts";
import { grantOf } from "../core/new-key.ts";
import { newRun } from "../core/new-run.ts";
import { picture } from "../picture.ts";
import { startReceiver } from "../webhook-receiver.ts";

const secret = "a secret of the tests, long enough";

describe.skipIf(dynamoDbIsMissing)("the bundled functions, on emulated AWS", () => {
  let dynamo: DynamoDbLocal;
  let aws: Awaited<ReturnType<typeof startEmulators>>;
  let env: Record<string, string>;
  let key: string;
  const folder = join(root, "node_modules", ".cache", "vedere-functions"); // from here they find the sharp of this machine

  beforeAll(async () => {
    [dynamo, aws] = await Promise.all([startDynamoDb(), startEmulators()]);
    const { queue, deadLetters } = await aws.createQueue({ receiveCountMax: 5 });
    const wakes = await aws.createQueue({ receiveCountMax: 5 });
    const [table, models] = [await dynamo.createTable(), aws.createBucket()];
    env = {
      VEDERE_STORE: "aws",
      VEDERE_AWS_TABLE: table,
      VEDERE_AWS_BUCKET: aws.createBucket(),
      VEDERE_AWS_MODEL_BUCKET: models,
      VEDERE_AWS_QUEUE: queue,
      VEDERE_AWS_DEAD_LETTERS: deadLetters,
      VEDERE_AWS_WAKE_QUEUE: wakes.queue,
      VEDERE_SECRET: secret,
      VEDERE_FETCH_PRIVATE: "true",
      AWS_REGION: awsConfig.region,
      AWS_ACCESS_KEY_ID: awsConfig.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: awsConfig.credentials.secretAccessKey,
      AWS_ENDPOINT_URL_DYNAMODB: dynamo.endpoint,
      AWS_ENDPOINT_URL_SQS: aws.endpoint,
      AWS_ENDPOINT_URL_S3: aws.endpoint,
    };
    const tenants = dynamoTenants(dynamoTable(dynamo.client, table));
    await tenants.create({ id: "ten_1", name: "Ada", createdAt: 0, disabledAt: null });
    const minted = mintKey(grantOf("ten_1"), secret, 0);
    await tenants.createKey(minted.key);
    key = minted.text;
    const client = openS3({ ...awsConfig, endpoint: aws.endpoint, forcePathStyle: true });
    const places = modelPlaces(
      readConfig({}, { dataDir: mkdtempSync(join(tmpdir(), "vedere-functions-")) }),
    );
    const [nano] = await openModels(places, async () => []).list();
    if (!nano) throw new Error("The embedded model is there.");
    await publishModel({ client, name: models }, nano, { now: 1, onFile: () => {} });
    client.destroy();
    for (const name of ["gateway", "webhooks", "sweeper", "scaler"] as const) {
      mkdirSync(join(folder, name), { recursive: true });
      bundleFunction(name, join(folder, name), { hasSharp: true });
    }
  }, 180_000);
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await Promise.all([dynamo?.stop(), aws?.stop()]);
  });

  /** Calls a function once, in a process of its own, as Lambda would start it. */
  async function invoke(name: FunctionName, event: object): Promise<unknown> {
    const program = `
      const { handler } = await import(${JSON.stringify(pathToFileURL(join(folder, name, "index.mjs")).href)});
      const context = { getRemainingTimeInMillis: () => 60000 };
      console.log("RESULT " + JSON.stringify(await handler(${JSON.stringify(event)}, context)));
      process.exit(0);`;
    const child = { env: { PATH: process.env.PATH ?? "", ...env }, cwd: folder };
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--input-type=module", "--eval", program],
      child,
    );
    return JSON.parse(/^RESULT (.*)$/m.exec(stdout)?.[1] ?? "null");
  }

  function post(path: string, body: object, authorization = `Bearer ${key}`) {
    return {
      version: "2.0",
      routeKey: `POST ${path}`,
      rawPath: path,
      rawQueryString: "",
      headers: {
        "content-type": "application/json",
        ...(authorization && { authorization }),
        host: "api.example.com",
      },
      requestContext: {
        http: {
          method: "POST",
          path,
          protocol: "HTTP/1.1",
          sourceIp: "203.0.113.7",
          userAgent: "test",
        },
      },
      body: Buffer.from(JSON.stringify(body)).toString("base64"),
      isBase64Encoded: true,
    };
  }

  async function ask(query: string, variables: object = {}) {
    const result = (await invoke("gateway", post("/graphql", { query, variables }))) as {
      statusCode: number;
      body: string;
      isBase64Encoded: boolean;
    };
    expect(result).toMatchObject({ statusCode: 200, isBase64Encoded: false });
    return JSON.parse(result.body);
  }

  test("the gateway answers an event of API Gateway with a typed GraphQL answer", async () => {
    const { data, errors } = await ask(
      "{ viewer { tenant { id name } scopes } models { id isDefault status } }",
    );
    expect(errors).toBeUndefined();
    expect(data.viewer.tenant).toEqual({ id: "ten_1", name: "Ada" });
    expect(data.models).toEqual([{ id: "florence-2-nano", isDefault: true, status: "AVAILABLE" }]);
  });

  test("the gateway decodes an image, takes a run, and its end is delivered by the functions behind it", async () => {
    const receiver = await startReceiver();
    const endpoint = await ask(
      "mutation ($url: URL!) { webhookEndpointCreate(input: { url: $url }) { secret userErrors { message } } }",
      {
        url: receiver.url,
      },
    );
    const { data } = await ask(
      "mutation ($input: RunCreateInput!) { runCreate(input: $input) { run { id status image { width } } userErrors { message } } }",
      {
        input: {
          source: { base64: (await picture()).toString("base64") },
          tasks: [{ caption: {} }],
        },
      },
    );
    expect(data.runCreate).toMatchObject({
      run: { status: "QUEUED", image: { width: expect.any(Number) } },
      userErrors: [],
    });
    await ask("mutation ($id: ID!) { runCancel(input: { runId: $id }) { run { status } } }", {
      id: data.runCreate.run.id,
    });
    expect(await invoke("sweeper", {})).toMatchObject({ expired: 0, resent: 0, awaited: 1 });
    const records = [{ messageId: "1", body: "{}" }];
    expect(await invoke("webhooks", { Records: records })).toEqual({ batchItemFailures: [] });
    const [{ headers, body } = { headers: {}, body: "" }] = receiver.received;
    expect(
      new Webhook(endpoint.data.webhookEndpointCreate.secret).verify(
        body,
        headers as Record<string, string>,
      ),
    ).toMatchObject({
      type: "run.canceled",
    });
    expect(await invoke("sweeper", {})).toMatchObject({ expired: 0, resent: 0, awaited: 0 });
  }, 60_000);

  test("what the gateway refuses, it refuses in whole answers", async () => {
    expect(
      await invoke("gateway", post("/graphql", { query: "{ viewer { keyId } }" }, "")),
    ).toMatchObject({ statusCode: 401 });
    expect(
      await invoke(
        "gateway",
        post("/graphql/stream", { query: 'subscription { runProgress(id: "x") { id } }' }),
      ),
    ).toMatchObject({
      statusCode: 501,
    });
    expect(await invoke("gateway", post("/nothing", {}))).toMatchObject({ statusCode: 404 });
    for (const path of ["/graphql", "/graphql/stream", "//evil/graphql"]) {
      const { headers } = (await invoke("gateway", post(path, {}))) as {
        headers: Record<string, string>;
      };
      expect(lackingHeaders(new Headers(headers))).toEqual([]);
    }
  }, 120_000);

  test("a run that is sent starts the scaler, which asks ECS for a worker, once", async () => {
    const cloud = await startEcsAndLambda();
    Object.assign(env, cloud.env);
    const policy = {
      min: 0,
      max: 4,
      runsPerWorkerPerMinute: 60,
      runsAtOnce: 8,
      targetDrainSeconds: 60,
      idleGraceSeconds: 60,
    };
    Object.assign(env, {
      FLEET_CLUSTER: "c",
      FLEET_SERVICE: "s",
      FLEET_SCALER: "scaler",
      FLEET_POLICY: JSON.stringify(policy),
    });
    const { data } = await ask(
      "mutation ($input: RunCreateInput!) { runCreate(input: $input) { run { id } } }",
      {
        input: {
          source: { base64: (await picture()).toString("base64") },
          tasks: [{ caption: {} }],
        },
      },
    );
    expect(cloud.invoked).toEqual(["/2015-03-31/functions/scaler/invocations Event"]);
    expect(await invoke("scaler", {})).toEqual({ running: 0, desired: 1 });
    expect(cloud.updates).toEqual([{ cluster: "c", service: "s", desiredCount: 1 }]);
    expect(await invoke("scaler", {})).toEqual({ running: 1, desired: 1 });
    await ask("mutation ($id: ID!) { runCancel(input: { runId: $id }) { run { status } } }", {
      id: data.runCreate.run.id,
    });
    expect(cloud.updates).toHaveLength(1);
  }, 60_000);

  test("the sweeper deletes what a tenant wants kept for a shorter time than the rest", async () => {
    const table = dynamoTable(dynamo.client, env.VEDERE_AWS_TABLE ?? "");
    const tenants = dynamoTenants(table);
    await tenants.create({ id: "ten_brief", name: "Brief", createdAt: 0, disabledAt: null });
    await tenants.setLimits("ten_brief", { retentionDays: 1 });
    const runs = dynamoRuns(table, { retentionMs: null, wake: async () => {} });
    const day = 86_400_000;
    for (const [id, finishedAt] of Object.entries({ run_old: 2 * day, run_new: day / 2 })) {
      const run = newRun({ id, tenantId: "ten_brief", createdAt: Date.now() - 3 * day });
      await runs.create(run, null);
      const end = Date.now() - finishedAt;
      await runs.replace({ ...run, version: 2, status: "FAILED", finishedAt: end });
    }
    expect(await invoke("sweeper", {})).toMatchObject({ erased: { runs: 1 } });
    expect(await runs.get("ten_brief", "run_old")).toBeNull();
    expect(await runs.get("ten_brief", "run_new")).not.toBeNull();
  });

  test("webhooks that cannot be delivered for our own fault come again", async () => {
    const failures = { batchItemFailures: [{ itemIdentifier: "1" }, { itemIdentifier: "2" }] };
    const before = env.VEDERE_AWS_TABLE ?? "";
    env.VEDERE_AWS_TABLE = "gone";
    expect(await invoke("webhooks", { Records: [{ messageId: "1" }, { messageId: "2" }] })).toEqual(
      failures,
    );
    env.VEDERE_AWS_TABLE = before;
  });
});

/** The two calls of ECS and the one of Lambda that the functions make, answered as AWS would. */
async function startEcsAndLambda() {
  const updates: object[] = [];
  const invoked: string[] = [];
  let [desiredCount, runningCount] = [0, 0];
  const server = createServer(async (request, response) => {
    const body = await text(request);
    const target = String(request.headers["x-amz-target"] ?? "");
    const answer = (json: object, status = 200) =>
      response
        .writeHead(status, { "content-type": "application/x-amz-json-1.1" })
        .end(JSON.stringify(json));
    if (target.endsWith(".DescribeServices")) {
      const services = [{ serviceName: "s", desiredCount, runningCount }];
      runningCount = desiredCount; // tasks take a while to start: they are there at the next look
      return answer({ services, failures: [] });
    }
    if (target.endsWith(".UpdateService")) {
      updates.push(JSON.parse(body));
      desiredCount = JSON.parse(body).desiredCount;
      return answer({ service: { serviceName: "s", desiredCount } });
    }
    invoked.push(`${request.url} ${request.headers["x-amz-invocation-type"]}`);
    return answer({}, 202);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const endpoint = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
  return {
    updates,
    invoked,
    env: { AWS_ENDPOINT_URL_ECS: endpoint, AWS_ENDPOINT_URL_LAMBDA: endpoint },
  };
}
