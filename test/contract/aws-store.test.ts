import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { awsProbe } from "../../adapters/aws/aws-probe.ts";
import { dynamoAudit } from "../../adapters/aws/dynamo-audit.ts";
import { dynamoBudgets } from "../../adapters/aws/dynamo-budgets.ts";
import { fleetMemory } from "../../adapters/aws/dynamo-fleet.ts";
import { dynamoModels } from "../../adapters/aws/dynamo-models.ts";
import { dynamoRuns } from "../../adapters/aws/dynamo-runs.ts";
import { type DynamoTable, dynamoTable } from "../../adapters/aws/dynamo-table.ts";
import { dynamoTenants } from "../../adapters/aws/dynamo-tenants.ts";
import { dynamoWebhooks } from "../../adapters/aws/dynamo-webhooks.ts";
import { nobody } from "../../adapters/aws/sqs-wake.ts";
import { answered } from "../core/answered.ts";
import { newRun } from "../core/new-run.ts";
import { auditContract } from "./audit.ts";
import { awsConfig } from "./aws-emulators.ts";
import { budgetsContract } from "./budgets.ts";
import { type DynamoDbLocal, dynamoDbIsMissing, startDynamoDb } from "./dynamodb-local.ts";
import { probeContract } from "./probe.ts";
import { registryContract } from "./registry.ts";
import { runsContract } from "./runs.ts";
import { tenantsContract } from "./tenants.ts";
import { webhooksContract } from "./webhooks.ts";

describe.skipIf(dynamoDbIsMissing)("DynamoDB Local", () => {
  let emulator: DynamoDbLocal;
  let second: DynamoDBClient;
  beforeAll(async () => {
    emulator = await startDynamoDb();
    second = new DynamoDBClient({ ...awsConfig, endpoint: emulator.endpoint });
  }, 180_000); // fetches it where it was never used
  afterAll(async () => {
    second?.destroy();
    await emulator?.stop();
  });

  /** A port on an empty table, and the same with a client of its own. */
  async function openOn<Port>(portOn: (table: DynamoTable) => Port) {
    const name = await emulator.createTable();
    return {
      port: portOn(dynamoTable(emulator.client, name)),
      elsewhere: portOn(dynamoTable(second, name)),
      close: async () => undefined,
    };
  }
  const kept = { retentionMs: 86_400_000, wake: nobody };
  const clock = { now: () => 1_000_000 };

  runsContract("DynamoDB", async () => {
    const { port: runs, ...rest } = await openOn((table) => dynamoRuns(table, kept));
    return { runs, ...rest };
  });

  probeContract("DynamoDB", async () => {
    const depth = async () => ({ visible: 0, inFlight: 0, dead: 0, oldestAgeMs: 0 });
    const { port, elsewhere, close } = await openOn((table) => ({
      runs: dynamoRuns(table, kept),
      probe: awsProbe(table, { depth }, clock),
    }));
    return { ...port, elsewhere: elsewhere.probe, close };
  });

  tenantsContract("DynamoDB", async () => {
    const { port: tenants, ...rest } = await openOn(dynamoTenants);
    return { tenants, ...rest };
  });

  auditContract("DynamoDB", async () => {
    const portOn = (table: DynamoTable) => ({
      audit: dynamoAudit(table),
      tenants: dynamoTenants(table),
      webhooks: dynamoWebhooks(table, { clock, ...kept }),
    });
    const { port, elsewhere, close } = await openOn(portOn);
    return { ...port, elsewhere: elsewhere.audit, close };
  });

  budgetsContract("DynamoDB", async () => {
    const { port: budgets, ...rest } = await openOn(dynamoBudgets);
    return { budgets, ...rest };
  });

  registryContract("DynamoDB", async () => {
    const { port: registry, ...rest } = await openOn(dynamoModels);
    return { registry, ...rest };
  });

  webhooksContract("DynamoDB", async () => {
    const portOn = (table: DynamoTable) => ({
      runs: dynamoRuns(table, kept),
      webhooks: dynamoWebhooks(table, { clock, ...kept }),
    });
    const { port, ...rest } = await openOn(portOn);
    return { ...port, ...rest };
  });

  test("the fleet remembers since when it has been idle, and forgets it with the next run", async () => {
    const { port: fleet, elsewhere } = await openOn(fleetMemory);
    expect(await fleet.idleSince({ isIdle: true, now: 100 })).toBe(100);
    expect(await elsewhere.idleSince({ isIdle: true, now: 160 })).toBe(100);
    expect(await fleet.idleSince({ isIdle: false, now: 220 })).toBeNull();
    expect(await elsewhere.idleSince({ isIdle: true, now: 280 })).toBe(280);
  });

  test("usage of a month reads its sum, not the sums of its hours", async () => {
    const table = dynamoTable(second, await emulator.createTable());
    const runs = dynamoRuns(table, kept);
    const month = { from: Date.UTC(2026, 3, 1), to: Date.UTC(2026, 4, 1) };
    for (let i = 0; i < 60; i += 1) {
      const run = newRun({ id: `run_${i}` });
      await runs.create(run, null);
      const tasks = run.tasks.map((task) => ({ ...task, outcome: answered(3) }));
      const finishedAt = month.from + i * 11 * 3_600_000;
      await runs.replace({ ...run, version: 2, status: "SUCCEEDED", finishedAt, tasks });
    }
    let items = 0;
    table.client.middlewareStack.add(
      (next) => async (args) => {
        const result = await next(args);
        items += (result.output as { ScannedCount?: number }).ScannedCount ?? 0;
        return result;
      },
      { step: "initialize" },
    );
    expect(await runs.usage("ten_1", month)).toMatchObject({ runs: 60 });
    expect(items).toBeGreaterThan(0);
    expect(items).toBeLessThanOrEqual(8);
  });

  test("a long run is packed and reads back; one that is too long to be stored is refused with what to do", async () => {
    const { port: runs } = await openOn((table) => dynamoRuns(table, kept));
    const long = newRun({
      id: "run_long",
      metadata: "a phrase that comes again and again ".repeat(20_000),
    });
    await runs.create(long, null);
    expect(await runs.get("ten_1", "run_long")).toEqual(long);
    const random = Array.from({ length: 60_000 }, (_, i) => Math.sin(i).toString(36)).join();
    await expect(
      runs.create(newRun({ id: "run_huge", metadata: random }), null),
    ).rejects.toMatchObject({ code: "INVALID" });
  });
});
