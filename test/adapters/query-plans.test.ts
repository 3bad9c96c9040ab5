import { expect, test } from "vitest";
import { openBell } from "../../adapters/bell.ts";
import { openSqlite, type Sqlite, text } from "../../adapters/sqlite.ts";
import { sqliteAudit } from "../../adapters/sqlite-audit.ts";
import { sqliteBudgets } from "../../adapters/sqlite-budgets.ts";
import { sqliteModels } from "../../adapters/sqlite-models.ts";
import { sqliteQueue } from "../../adapters/sqlite-queue.ts";
import { sqliteRetention } from "../../adapters/sqlite-retention.ts";
import { sqliteRuns } from "../../adapters/sqlite-runs.ts";
import { sqliteTenants } from "../../adapters/sqlite-tenants.ts";
import { sqliteWebhooks } from "../../adapters/sqlite-webhooks.ts";
import { anyEntry } from "../../core/audit.ts";
import { mintKey } from "../../core/tenant.ts";
import { answered } from "../core/answered.ts";
import { grantOf } from "../core/new-key.ts";
import { newRun } from "../core/new-run.ts";
import { newDelivery, newEndpoint } from "../core/new-webhook.ts";

/** Plans that may scan or sort, by the beginning of the statement, with the reason. */
const allowed: Readonly<Record<string, string>> = {
  "SELECT name, target FROM model_aliases": "operators name few models",
  "SELECT * FROM worker_reports": "a row for each worker",
  "DELETE FROM worker_reports": "a row for each worker",
  "SELECT data FROM webhook_endpoints": "a tenant has at most 20 endpoints",
  "SELECT * FROM api_keys": "sorts only the keys that were made in the same millisecond",
  "SELECT count(*) FILTER": "for metrics and the sweeper: counts the queue, not the history",
  "SELECT count(DISTINCT run_id)": "the rows of less than a minute, at an end of a span",
  "SELECT data FROM webhook_outbox": "reads the index from its beginning, as many as it asks for",
  "SELECT 1 FROM webhook_outbox": "one row",
  "SELECT path FROM removed_files": "files that are about to be deleted",
  "WITH RECURSIVE tenant": "steps from tenant to tenant of those that wait",
};

/** Notes the statements that pass. */
function recording(sqlite: Sqlite, seen: Set<string>): Sqlite {
  const note = (sql: string) => {
    seen.add(sql);
    return sql;
  };
  return {
    ...sqlite,
    run: (sql, ...values) => sqlite.run(note(sql), ...values),
    first: (sql, ...values) => sqlite.first(note(sql), ...values),
    all: (sql, ...values) => sqlite.all(note(sql), ...values),
  };
}

test("no statement of the stores scans or sorts a table that grows with history", async () => {
  const bare = openSqlite(":memory:");
  const seen = new Set<string>();
  await useEverything(recording(bare, seen));
  expect(seen.size).toBeGreaterThan(50);
  const costly = [...seen].flatMap((sql) => {
    const steps = bare.all(`EXPLAIN QUERY PLAN ${sql}`).map((row) => text(row, "detail"));
    return steps
      .filter((step) => /^SCAN (?!CONSTANT)|TEMP B-TREE/.test(step))
      .map((step) => `${sql.trim()}: ${step}`);
  });
  const reasons = Object.keys(allowed);
  expect(costly.filter((line) => !reasons.some((start) => line.startsWith(start)))).toEqual([]);
  bare.close();
});

/** Calls every method of every port that reads or writes the database. */
async function useEverything(sqlite: Sqlite): Promise<void> {
  const bell = openBell(null);
  const clock = { now: () => 1_000_000 };
  const runs = sqliteRuns(sqlite, bell);
  const webhooks = sqliteWebhooks(sqlite, bell, clock);
  const tenants = sqliteTenants(sqlite);
  const queue = sqliteQueue(sqlite, bell, clock);
  const models = sqliteModels(sqlite);
  const size = { capacity: 10, perSecond: 1 };
  await sqliteBudgets(sqlite).draw("ten_1", ["tenant"], { cost: 1, size, now: 1 });

  await tenants.create({ id: "ten_1", name: "Ada", createdAt: 0, disabledAt: null });
  await tenants.get("ten_1");
  await tenants.list({ first: 10, after: null });
  await tenants.setDisabled("ten_1", null);
  await tenants.setLimits("ten_1", { retentionDays: 3 });
  const audit = sqliteAudit(sqlite);
  for (const tenantId of [null, "ten_1"])
    for (const keyId of [null, "key"])
      for (const action of [null, "tenant.create"] as const)
        for (const subjectId of [null, "ten_1"]) {
          const filter = { ...anyEntry, tenantId, keyId, action, subjectId };
          await audit.list({ ...filter, first: 9, after: null });
        }
  const { key } = mintKey(grantOf("ten_1"), "pepper", 8);
  await tenants.createKey(key);
  await tenants.findKey(key.id);
  await tenants.keys("ten_1");
  const { key: fresh } = mintKey(grantOf("ten_1"), "pepper", 8);
  await tenants.replaceKey(fresh, { keyId: key.id, expiresAt: 9 });
  await tenants.revokeKey("ten_1", key.id, 9);

  const run = newRun();
  await runs.create(run, { key: "k", inputHash: "h" });
  await runs.findByKey("ten_1", "k");
  const outcomes = run.tasks.map((task) => ({ ...task, outcome: answered(3) }));
  const ended = {
    ...run,
    version: 2,
    status: "SUCCEEDED",
    finishedAt: 5,
    tasks: outcomes,
  } as const;
  await runs.replace(ended);
  await runs.get("ten_1", run.id);
  await runs.ledger("ten_1", { first: 10, after: null });
  await runs.usage("ten_1", { from: 1, to: 86_400_000 * 100 + 1 });
  for (const status of [null, ["SUCCEEDED", "FAILED"] as const])
    await runs.list("ten_1", { first: 10, after: null, status });
  await runs.eraseFrom("ten_1", run.id, 1);
  await runs.erasable(1, 10);
  await runs.countUnfinished("ten_1");
  await runs.queued(1, 10);
  await runs.overdue(1, 10);
  await runs.changed("ten_1", run.id, 1, 1);

  await webhooks.createEndpoint(newEndpoint());
  await webhooks.getEndpoint("ten_1", "whe_1");
  await webhooks.endpoints("ten_1");
  await webhooks.replaceEndpoint(newEndpoint({ version: 2 }), null);
  const [event] = await webhooks.outbox(10);
  if (!event) throw new Error("The run's end left an event.");
  const delivery = newDelivery({ event });
  await webhooks.fanOut(event, [delivery]);
  await webhooks.getDelivery("ten_1", delivery.id);
  await webhooks.replaceDelivery({ ...delivery, version: 2 });
  for (const endpointId of [null, "whe_1"])
    for (const runId of [null, "run_1"])
      for (const status of [null, "FAILED"] as const)
        await webhooks.deliveries("ten_1", { first: 9, after: null, endpointId, runId, status });
  await webhooks.due(1, 10);
  await webhooks.wait(1);
  await webhooks.removeEndpoint("ten_1", "whe_1");

  for (const runId of ["run_1", "run_2", "run_3"])
    await queue.send({ version: 1, tenantId: "ten_1", runId });
  const [one, two, three] = await queue.receive({ max: 3, waitMs: 0, leaseMs: 1_000 });
  if (!one || !two || !three) throw new Error("Three messages were sent.");
  await queue.extend(one, 1_000);
  await queue.remove(one);
  await queue.release(two, 0);
  await queue.bury(three, "reason");
  await queue.depth();

  const retention = sqliteRetention({ sqlite, bell }, clock, "no-such-folder");
  await tenants.beginDeletion("ten_1", 5);
  await tenants.deletions(5);
  await tenants.endDeletion("ten_1", 6);
  await retention.removeImage("ten_1", "img_1");
  await retention.removeRun("ten_1", "run_1");
  await retention.expire("ten_1", 1_000_000_000);
  sqlite.run("INSERT INTO removed_files (path) VALUES ('no-such-file')");
  sqlite.run(
    "INSERT INTO images (tenant_id, id, data, file, unused_since) VALUES ('ten_1', 'img_9', '{}', 'x', 0)",
  );
  sqlite.run(
    "INSERT INTO uploads (id, tenant_id, byte_size, sha256, expires_at) VALUES ('upl', 'ten_1', 1, '', 0)",
  );
  await sqliteRetention({ sqlite, bell }, { now: () => 1_000_000_000 }, "no-such-folder").tidy();

  await models.setAlias({ name: "a", target: "b" });
  await models.aliases();
  await models.removeAlias("a");
  await models.report({ workerId: "w", at: 1, models: [] });
  await models.reports(0);
  await models.removeReport("w");
}
