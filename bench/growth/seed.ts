import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readConfig } from "../../adapters/config.ts";
import { type Connection, connect } from "../../adapters/connect.ts";
import { packageRoot } from "../../adapters/package-root.ts";
import { createGateway } from "../../api/server.ts";
import { createTenant } from "../../core/api-keys.ts";
import { commandLine } from "../../core/audit.ts";
import { mintKey, scopes } from "../../core/tenant.ts";
import {
  deliveriesOf,
  healthy,
  type WebhookEndpoint,
  webhookEventTypes,
} from "../../core/webhook.ts";
import { afterAttempt, claimed } from "../../core/webhook-schedule.ts";
import { mintWebhookSecret, seal } from "../../core/webhook-secret.ts";
import { decodeWhole } from "../../images/decode-whole.ts";
import { openEngine } from "../../inference/florence2/engine.ts";
import { runWorker } from "../../inference/worker.ts";

/**
 * What a store holds before it is filled: one run that was really answered, and what belongs to it.
 */
export interface Seed {
  /** Of the measured tenant; it may do everything. */
  readonly key: string;
  readonly tenantId: string;
  /** Tenants with runs of their own beside it. */
  readonly otherTenants: readonly string[];
  readonly runId: string;
  readonly imageId: string;
  readonly deliveryId: string;
  /** Hears of every run. */
  readonly endpointId: string;
  /** Has a few deliveries that were given up, the same number at each size. */
  readonly failingEndpointId: string;
  readonly image: Uint8Array;
}

/**
 * Makes a data folder with several tenants and one run of three tasks, answered by the embedded
 * model and delivered.
 */
export async function makeSeed(dataDir: string): Promise<Seed> {
  const ports = await connect(readConfig({}, { dataDir }));
  const audited = { ...ports, by: commandLine };
  const { id: tenantId } = await createTenant(audited, "measured");
  const otherTenants: string[] = [];
  for (let i = 1; i <= 4; i += 1) otherTenants.push((await createTenant(audited, `other ${i}`)).id);
  const now = ports.clock.now();
  const grant = { tenantId, name: "bench", scopes, expiresAt: null };
  const { text: key, key: record } = mintKey(grant, ports.secret, now);
  await ports.tenants.createKey(record);
  const [endpoint, failing] = ["whe_bench", "whe_failing"].map((id) =>
    endpointOf(id, { tenantId, secret: ports.secret, now }),
  );
  if (!endpoint || !failing) throw new Error("Two endpoints were made.");
  for (const each of [endpoint, failing]) await ports.webhooks.createEndpoint(each);
  const image = readFileSync(join(packageRoot(), "models/samples", "harbour.jpg"));
  const run = await answeredRun(ports, { key }, image);
  const deliveryId = await deliver(ports, endpoint, run.id);
  await ports.close();
  return {
    ...{ key, tenantId, otherTenants, runId: run.id, imageId: run.image.id, deliveryId, image },
    ...{ endpointId: endpoint.id, failingEndpointId: failing.id },
  };
}

function endpointOf(
  id: string,
  { tenantId, secret, now }: { tenantId: string; secret: string; now: number },
): WebhookEndpoint {
  const sealed = seal(mintWebhookSecret(), { tenantId, serviceSecret: secret });
  return {
    ...{ id, tenantId, version: 1, url: "https://hooks.example.com/vedere", description: "" },
    ...{ events: webhookEventTypes, payloadQuery: null, readsRuns: true, createdAt: now },
    ...{ secrets: [{ sealed, createdAt: now, expiresAt: null }], health: healthy },
    ...{ disabledAt: null, disabledReason: null },
  };
}

async function answeredRun(ports: Connection, { key }: { key: string }, image: Uint8Array) {
  const log = { info() {}, error: console.error };
  const workerLog = (event: string, fields: object) => {
    if (event === "error") console.error(fields);
  };
  const engine = openEngine({ models: ports.models, executionProviders: ["cpu"] });
  const stop = new AbortController();
  const working = runWorker(ports, engine, { signal: stop.signal, log: workerLog });
  const gateway = await createGateway({
    ...{ ports, secret: ports.secret, publicUrl: "http://127.0.0.1:1", fetch: {}, log },
    graphiql: false,
    decode: decodeWhole,
  });
  const input = {
    source: { base64: Buffer.from(image).toString("base64") },
    tasks: [{ caption: {} }, { detectObjects: {} }, { readText: {} }],
    waitMs: 60_000,
  };
  const query =
    "mutation ($input: RunCreateInput!) { runCreate(input: $input) { run { id status image { id } } } }";
  const request = new Request(
    "http://127.0.0.1:1/graphql",
    graphqlRequest({ key }, query, { input }),
  );
  const response = await gateway.handle(request, { address: "127.0.0.1" });
  const text = await response.text();
  stop.abort();
  await working;
  await engine.close();
  await gateway.close();
  const { run } = JSON.parse(text).data.runCreate;
  if (run.status !== "SUCCEEDED") throw new Error(`The run did not succeed: ${text}`);
  return run as { readonly id: string; readonly image: { readonly id: string } };
}

/** As the deliverer does it, but for the sending. */
async function deliver(ports: Connection, endpoint: WebhookEndpoint, runId: string) {
  const { webhooks, runs, clock } = ports;
  const run = await runs.get(endpoint.tenantId, runId);
  const [event] = await webhooks.outbox(1);
  if (!run || !event) throw new Error("The run left an event.");
  const now = clock.now();
  const [delivery] = deliveriesOf(event, { endpoints: [endpoint], run, now });
  if (!delivery) throw new Error("The event has a receiver.");
  await webhooks.fanOut(event, [delivery]);
  const begun = claimed(delivery, { now, until: now + 60_000 });
  await webhooks.replaceDelivery(begun);
  const headers = [{ name: "content-type", value: "application/json" }];
  const attempt = {
    ...{ at: now, durationMs: 84, httpStatus: 204, error: null, excerpt: "" },
    ...{ requestHeaders: headers, responseHeaders: headers },
  };
  const outcome = { attempt, retryAfterMs: null, isFinal: false };
  await webhooks.replaceDelivery(afterAttempt(begun, outcome, { now, random: Math.random }));
  return delivery.id;
}

/** An operation as the measured tenant sends it. */
export function graphqlRequest(
  { key }: Pick<Seed, "key">,
  query: string,
  variables: object,
): RequestInit {
  return {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ query, variables }),
  };
}
