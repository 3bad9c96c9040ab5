import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { dynamoRuns } from "../../../adapters/aws/dynamo-runs.ts";
import { type DynamoTable, dynamoTable, getItems } from "../../../adapters/aws/dynamo-table.ts";
import { dynamoWebhooks } from "../../../adapters/aws/dynamo-webhooks.ts";
import { units } from "../../../core/charge.ts";
import { limits } from "../../../core/limits.ts";
import type { Run } from "../../../core/run.ts";
import { awsConfig } from "../../contract/aws-emulators.ts";
import {
  type DynamoDbLocal,
  dynamoDbIsMissing,
  startDynamoDb,
} from "../../contract/dynamodb-local.ts";
import { answered } from "../../core/answered.ts";
import { newRun } from "../../core/new-run.ts";

describe.skipIf(dynamoDbIsMissing)("runs in DynamoDB, beyond the contract", () => {
  let emulator: DynamoDbLocal;
  let client: DynamoDBClient;
  let table: DynamoTable;
  let wakes: number;
  beforeAll(async () => {
    emulator = await startDynamoDb();
  }, 60_000);
  afterAll(() => emulator?.stop());
  beforeEach(async () => {
    client = new DynamoDBClient({ ...awsConfig, endpoint: emulator.endpoint });
    table = dynamoTable(client, await emulator.createTable());
    wakes = 0;
  });
  afterEach(() => client.destroy());

  const open = () => {
    const wake = async () => {
      wakes += 1;
    };
    return dynamoRuns(table, { retentionMs: null, wake });
  };
  const outbox = () =>
    dynamoWebhooks(table, {
      clock: { now: () => 0 },
      retentionMs: null,
      wake: async () => undefined,
    }).outbox(10);
  const span = { from: 0, to: 1_000 };
  const tasks = Array.from({ length: limits.run.tasksMax }, () => ({
    name: "CAPTION" as const,
    input: {},
    outcome: null,
  }));
  /** The last version: every task answered by one token. */
  const ended = (run: Run): Run => ({
    ...run,
    version: run.version + 1,
    status: "SUCCEEDED",
    finishedAt: 500,
    tasks: run.tasks.map((task) => ({ ...task, outcome: answered(1) })),
  });
  const usageOfOne = {
    runs: 1,
    tasks: 16,
    encodings: 1,
    tokens: 16,
    cost: units.encoding + 16 * (units.prompt + units.token),
  };

  test("a run of as many tasks as there may be ends in one request, with its charges and its event", async () => {
    const runs = open();
    const { run } = await runs.create(newRun({ tasks }), null);
    const sent = vi.spyOn(client.config.requestHandler, "handle");
    expect(await runs.replace(ended(run))).toBe(true);
    expect(sent).toHaveBeenCalledTimes(1);
    expect(await runs.get("ten_1", "run_1")).toEqual(ended(run));
    expect(await runs.usage("ten_1", span)).toEqual(usageOfOne);
    expect(await outbox()).toHaveLength(1);
  });

  test("an end that does not fit into an item is refused with what to do, and leaves neither charges nor an event", async () => {
    const runs = open();
    const { run } = await runs.create(newRun({ tasks }), null);
    const metadata = Array.from({ length: 60_000 }, (_, i) => Math.sin(i).toString(36)).join();
    await expect(runs.replace({ ...ended(run), metadata })).rejects.toMatchObject({
      code: "INVALID",
      fix: expect.any(String),
    });
    expect(await runs.get("ten_1", "run_1")).toEqual(run);
    expect(await runs.usage("ten_1", span)).toMatchObject({ runs: 0 });
    expect(await outbox()).toEqual([]);
  });

  test.each([
    ["soon", (body: string) => body],
    [
      "so late that DynamoDB has forgotten it",
      (body: string) =>
        body.replace(/"ClientRequestToken":"[^"]{8}/, '"ClientRequestToken":"00000000'),
    ],
  ])(
    "an end whose answer is lost is sent again %s: it is known as ours, charged once and told once",
    async (_, remembered) => {
      const runs = open();
      const { run } = await runs.create(newRun({ tasks }), null);
      const bodies = loseFirstAnswer(client, remembered);
      expect(await runs.replace(ended(run))).toBe(true);
      expect(bodies.filter((body) => body.includes("TransactItems"))).toHaveLength(2);
      expect(await runs.usage("ten_1", span)).toEqual(usageOfOne);
      expect(await outbox()).toHaveLength(1);
      expect(wakes).toBe(1);
    },
  );

  test("where another's end came first, ours is refused, though our answer was lost too", async () => {
    const runs = open();
    const { run } = await runs.create(newRun({ tasks }), null);
    const canceled: Run = { ...run, version: 2, status: "CANCELED", finishedAt: 400 };
    await runs.replace(canceled);
    const bodies = loseFirstAnswer(client, (body) => body);
    expect(await runs.replace(ended(run))).toBe(false);
    expect(bodies.filter((body) => body.includes("TransactItems"))).toHaveLength(2);
    expect(await runs.get("ten_1", "run_1")).toEqual(canceled);
    expect(await runs.usage("ten_1", span)).toMatchObject({ runs: 0 });
    expect(wakes).toBe(1);
  });

  test("an item that an index gives twice, while it lags behind, is read once", async () => {
    const runs = open();
    await runs.create(newRun({ id: "run_1" }), null);
    await runs.create(newRun({ id: "run_2" }), null);
    const keys = ["run_2", "run_1", "run_gone", "run_2"].map((id) => ({
      pk: `RUN#ten_1#${id}`,
      sk: "RUN",
    }));
    expect((await getItems(table, keys)).map(({ pk }) => pk)).toEqual([
      "RUN#ten_1#run_2",
      "RUN#ten_1#run_1",
    ]);
  });
});

/**
 * The first request arrives, changed by `remembered`, and its connection breaks before the answer.
 * Gives the bodies of all requests.
 */
function loseFirstAnswer(client: DynamoDBClient, remembered: (body: string) => string): string[] {
  const bodies: string[] = [];
  const { requestHandler } = client.config;
  const handle = requestHandler.handle.bind(requestHandler);
  vi.spyOn(requestHandler, "handle").mockImplementation(async (request, options) => {
    const { body } = request;
    bodies.push(String(body));
    if (bodies.length > 1) return handle(request, options);
    request.body = remembered(String(body));
    await handle(request, options);
    request.body = body;
    throw Object.assign(new Error("socket hang up"), { code: "ECONNRESET" });
  });
  return bodies;
}
