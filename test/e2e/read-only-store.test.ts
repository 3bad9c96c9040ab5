import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openBell } from "../../adapters/bell.ts";
import { readConfig } from "../../adapters/config.ts";
import { embeddedProbe } from "../../adapters/embedded-probe.ts";
import { fileImages } from "../../adapters/file-images.ts";
import { modelPlaces, openModels } from "../../adapters/model-folders.ts";
import { openSqlite } from "../../adapters/sqlite.ts";
import { sqliteAudit } from "../../adapters/sqlite-audit.ts";
import { sqliteBudgets } from "../../adapters/sqlite-budgets.ts";
import { sqliteModels } from "../../adapters/sqlite-models.ts";
import { sqliteQueue } from "../../adapters/sqlite-queue.ts";
import { sqliteRetention } from "../../adapters/sqlite-retention.ts";
import { sqliteRuns } from "../../adapters/sqlite-runs.ts";
import { sqliteTenants } from "../../adapters/sqlite-tenants.ts";
import { sqliteWebhooks } from "../../adapters/sqlite-webhooks.ts";
import { createGateway, type Gateway } from "../../api/server.ts";
import type { Engine } from "../../core/ports.ts";
import { mintKey } from "../../core/tenant.ts";
import { decodeWhole } from "../../images/decode-whole.ts";
import { openEngine } from "../../inference/florence2/engine.ts";
import { runWorker } from "../../inference/worker.ts";
import { grantOf } from "../core/new-key.ts";
import { picture } from "../picture.ts";

const folder = mkdtempSync(join(tmpdir(), "vedere-read-only-"));
const clock = { now: () => Date.now() };
const secret = "a secret of the tests, long enough";
const sqlite = openSqlite(join(folder, "vedere.db"));
const bell = openBell(join(folder, "bells"));
const registry = sqliteModels(sqlite);
const ports = {
  runs: sqliteRuns(sqlite, bell),
  tenants: sqliteTenants(sqlite),
  audit: sqliteAudit(sqlite),
  budgets: sqliteBudgets(sqlite),
  webhooks: sqliteWebhooks(sqlite, bell, clock),
  queue: sqliteQueue(sqlite, bell, clock),
  ...fileImages(sqlite, clock, { folder, publicUrl: "http://127.0.0.1:1", secret }),
  models: openModels(modelPlaces(readConfig({}, { dataDir: folder })), registry.aliases),
  registry,
  probe: embeddedProbe(sqlite, folder),
  sessions: null,
  retention: sqliteRetention({ sqlite, bell }, clock, folder),
  clock,
};
const minted = mintKey(grantOf("ten_1"), secret, 0);
let gateway: Gateway;
let engine: Engine;
beforeAll(async () => {
  await ports.tenants.create({ id: "ten_1", name: "Ada", createdAt: 0, disabledAt: null });
  await ports.tenants.createKey(minted.key);
  const log = { info() {}, error() {} };
  gateway = await createGateway({
    ports,
    secret,
    publicUrl: "http://127.0.0.1:1",
    fetch: {},
    decode: decodeWhole,
    log,
    graphiql: false,
  });
  engine = openEngine({ models: ports.models, executionProviders: ["cpu"] });
  (await engine.hold("florence-2-nano")).release();
});
afterAll(async () => {
  await gateway.close();
  await engine.close();
  bell.close();
  sqlite.close();
  rmSync(folder, { recursive: true });
});

interface Answer {
  // biome-ignore lint/suspicious/noExplicitAny: answers of several shapes; a wrong path is undefined and fails the expectation
  readonly data: any;
  readonly errors?: object[];
}

async function ask(query: string, variables: object = {}): Promise<Answer> {
  const headers = { "content-type": "application/json", authorization: `Bearer ${minted.text}` };
  const request = new Request("http://gateway/graphql", {
    method: "POST",
    headers,
    body: JSON.stringify({ query, variables }),
  });
  return (await gateway.handle(request, { address: "127.0.0.1" })).json() as Promise<Answer>;
}

/** What /readyz says: its status and first reason. */
async function readiness() {
  const response = await gateway.handle(new Request("http://gateway/readyz"), {
    address: "127.0.0.1",
  });
  const { reasons } = (await response.json()) as { reasons: string[] };
  return [response.status, reasons[0]];
}

test("while the store takes no writes, callers are told; afterwards everything goes on, and nothing was lost or doubled", async () => {
  const create =
    "mutation ($input: RunCreateInput!) { runCreate(input: $input) { run { id } userErrors { code } } }";
  const source = { base64: (await picture()).toString("base64") };
  const submit = (i: number) =>
    ask(create, { input: { source, tasks: [{ caption: {} }], idempotencyKey: `run ${i}` } });
  const ids: string[] = [];
  for (let i = 0; i < 8; i += 1) ids.push((await submit(i)).data.runCreate.run.id);

  const stop = new AbortController();
  const errors: unknown[] = [];
  const log = (event: string, fields: object) => void (event === "error" && errors.push(fields));
  const working = runWorker(ports, engine, {
    signal: stop.signal,
    log,
    leaseMs: 2_000,
    runsAtOnce: 2,
  });
  await expect
    .poll(
      async () => (await ports.runs.usage("ten_1", { from: 0, to: Number.MAX_SAFE_INTEGER })).runs,
    )
    .toBeGreaterThan(0);
  sqlite.run("PRAGMA query_only = ON");
  const refused = await submit(99);
  expect(refused.errors).toMatchObject([
    {
      message: expect.stringContaining("Nothing can be stored"),
      extensions: { code: "STORE_UNAVAILABLE" },
    },
  ]);
  expect(JSON.stringify(refused)).not.toContain(folder); // that is told to whoever runs the service
  await expect.poll(readiness).toEqual([503, expect.stringContaining(folder)]);
  expect((await ask("{ runs { edges { node { id } } } }")).data.runs.edges).toHaveLength(8); // what only reads goes on
  await pause(1_500);
  expect(errors.length).toBeGreaterThan(0);
  sqlite.run("PRAGMA query_only = OFF");

  await expect.poll(readiness, { timeout: 5_000 }).toEqual([200, undefined]);
  const statuses = async () =>
    Promise.all(ids.map(async (id) => (await ports.runs.get("ten_1", id))?.status));
  await expect.poll(statuses, { timeout: 20_000 }).toEqual(ids.map(() => "SUCCEEDED"));
  expect((await submit(99)).data.runCreate.userErrors).toEqual([]);
  await expect
    .poll(
      async () => (await ports.runs.usage("ten_1", { from: 0, to: Number.MAX_SAFE_INTEGER })).runs,
    )
    .toBe(9);
  expect((await submit(0)).data.runCreate.run.id).toBe(ids[0]);
  stop.abort();
  await working;
}, 40_000);
