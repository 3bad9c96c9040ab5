import { beforeEach, expect, onTestFinished, test } from "vitest";
import { clientAddress } from "../../api/client-address.ts";
import { buildGatewaySchema } from "../../api/schema.ts";
import { type AuditEntry, anyEntry } from "../../core/audit.ts";
import type { Ports } from "../../core/ports.ts";
import { mintKey, scopes, tenantScopes } from "../../core/tenant.ts";
import { grantOf } from "../core/new-key.ts";
import { newRun } from "../core/new-run.ts";
import { newDelivery, newEvent } from "../core/new-webhook.ts";
import { startGateway, type TestGateway } from "./start.ts";

const pepper = "pepper";
let gateway: TestGateway;
let isBroken = false;
beforeEach(async () => {
  isBroken = false;
  const mayBreak = (ports: Ports): Ports => ({
    ...ports,
    audit: {
      ...ports.audit,
      append: (entry) => (isBroken ? Promise.reject(new Error("full")) : ports.audit.append(entry)),
    },
  });
  gateway = await startGateway({ secret: pepper }, mayBreak);
  onTestFinished(() => gateway.close());
});

/**
 * Mutations without an entry, each with its reason. A new mutation stands here or in the table
 * below.
 */
const unaudited: Readonly<Record<string, string>> = {
  runCreate: "a run is data: it is kept with its instants, and charged",
  runsCreate: "as runCreate",
  runCancel: "the run keeps its status and when it ended",
  uploadsCreate: "an upload is data, and expires within an hour",
};

interface Made {
  readonly keyId: string;
  readonly endpointId: string;
  readonly deliveryId: string;
  readonly imageId: string;
}

/** Each audited mutation: its call, and the actions of its entries, the newest first. */
const audited: Readonly<Record<string, [(made: Made) => string, ...string[]]>> = {
  apiKeyCreate: [() => `(input: { name: "shop" }) { apiKey { id } }`, "apiKey.create"],
  apiKeyReroll: [
    ({ keyId }) => `(input: { keyId: "${keyId}" }) { apiKey { id } }`,
    "apiKey.expire",
    "apiKey.create",
  ],
  apiKeyRevoke: [
    ({ keyId }) => `(input: { keyId: "${keyId}" }) { apiKey { id } }`,
    "apiKey.revoke",
  ],
  tenantCreate: [() => `(input: { name: "Grace" }) { tenant { id } }`, "tenant.create"],
  tenantLimitsSet: [
    () => `(input: { tenantId: "bob", unfinishedRuns: 3 }) { tenant { id } }`,
    "tenant.limit",
  ],
  tenantExport: [() => `(input: { tenantId: "bob" }) { records { kind } }`, "tenant.export"],
  tenantDisable: [() => `(input: { tenantId: "bob" }) { tenant { id } }`, "tenant.disable"],
  tenantEnable: [() => `(input: { tenantId: "bob" }) { tenant { id } }`, "tenant.enable"],
  tenantDelete: [() => `(input: { tenantId: "bob" }) { tenant { id } }`, "tenant.delete"],
  webhookEndpointCreate: [
    () => `(input: { url: "https://example.com/a?token=SECRET" }) { endpoint { id } }`,
    "webhookEndpoint.create",
  ],
  webhookEndpointUpdate: [
    ({ endpointId }) =>
      `(input: { endpointId: "${endpointId}", description: "x" }) { endpoint { id } }`,
    "webhookEndpoint.update",
  ],
  webhookSecretRotate: [
    ({ endpointId }) => `(input: { endpointId: "${endpointId}" }) { endpoint { id } }`,
    "webhookEndpoint.rotateSecret",
  ],
  webhookRedeliver: [
    ({ deliveryId }) => `(input: { deliveryId: "${deliveryId}" }) { delivery { id } }`,
    "webhookDelivery.redeliver",
  ],
  webhookRecover: [
    ({ endpointId }) =>
      `(input: { endpointId: "${endpointId}", since: "2026-01-01T00:00:00Z" }) { recovered }`,
    "webhookEndpoint.recover",
  ],
  webhookEndpointDisable: [
    ({ endpointId }) => `(input: { endpointId: "${endpointId}" }) { endpoint { id } }`,
    "webhookEndpoint.disable",
  ],
  webhookEndpointEnable: [
    ({ endpointId }) => `(input: { endpointId: "${endpointId}" }) { endpoint { id } }`,
    "webhookEndpoint.enable",
  ],
  imageDelete: [({ imageId }) => `(input: { imageId: "${imageId}" }) { deleted }`, "image.delete"],
  runDelete: [() => `(input: { runId: "run_1" }) { deleted }`, "run.delete"],
  webhookEndpointDelete: [
    ({ endpointId }) => `(input: { endpointId: "${endpointId}" }) { endpointId }`,
    "webhookEndpoint.delete",
  ],
};

async function prepare() {
  const { tenants, runs, webhooks, images } = gateway.ports;
  const minted = mintKey(grantOf("ada", { scopes }), pepper, 0);
  await tenants.createKey(minted.key);
  const other = mintKey(grantOf("ada", { scopes: tenantScopes }), pepper, 0);
  await tenants.createKey(other.key);
  const { body } = await gateway.ask(
    `mutation { webhookEndpointCreate(input: { url: "https://example.com" }) { endpoint { id } } }`,
  );
  const endpointId: string = body.data.webhookEndpointCreate.endpoint.id;
  const { run } = await runs.create(newRun({ id: "run_1", tenantId: "ada" }), null);
  await images.put("ada", run.image, Buffer.from("picture"));
  await runs.replace({ ...run, version: 2, status: "SUCCEEDED", finishedAt: 100 });
  const delivery = newDelivery(
    { tenantId: "ada", event: newEvent("run_1", 100, "ada") },
    endpointId,
  );
  await webhooks.fanOut(delivery.event, [delivery]);
  const made = { keyId: other.key.id, endpointId, deliveryId: delivery.id, imageId: run.image.id };
  return { authorization: `Bearer ${minted.text}`, actingKey: minted.key.id, made };
}

const entries = async (): Promise<readonly AuditEntry[]> =>
  (await gateway.ports.audit.list({ ...anyEntry, first: 100, after: null })).entries;

test("every mutation leaves an entry, or stands in the list of those that need none", () => {
  const mutations = Object.keys(buildGatewaySchema().getMutationType()?.getFields() ?? {});
  expect(mutations.filter((name) => !(name in audited) && !(name in unaudited))).toEqual([]);
});

test("each change is written down: who, from where, what, in which request; never a secret", async () => {
  const { authorization, actingKey, made } = await prepare();
  for (const [name, [call, ...actions]] of Object.entries(audited)) {
    const before = await entries();
    const answer = await gateway.ask(
      `mutation { ${name}${call(made).replace(/ \}$/, " userErrors { code message } }")} }`,
      {},
      authorization,
    );
    expect(answer.body.data?.[name]?.userErrors, JSON.stringify(answer.body)).toEqual([]);
    const added = (await entries()).slice(0, -before.length || undefined);
    expect(added.map(({ action }) => action).toSorted(), name).toEqual(actions.toSorted());
    for (const entry of added) {
      expect(entry, name).toMatchObject({
        actor: { kind: "KEY", keyId: actingKey, tenantId: "ada", address: "127.0.0.1" },
        requestId: answer.headers.get("x-request-id"),
      });
    }
  }
  expect(JSON.stringify(await entries())).not.toMatch(/SECRET|whsec_|vdr_live_|secretHash/);
});

test("a refused request leaves none", async () => {
  const { made } = await prepare();
  const before = await entries();
  const weak = mintKey(grantOf("ada", { scopes: ["KEYS_ADMIN"] }), pepper, 0);
  await gateway.ports.tenants.createKey(weak.key);
  await gateway.ask(
    `mutation { apiKeyRevoke(input: { keyId: "${made.keyId}" }) { userErrors { code } } }`,
    {},
    `Bearer ${weak.text}`,
  );
  expect(await entries()).toEqual(before);
});

test("where the entry cannot be appended, nothing is sent again", async () => {
  const { authorization, made } = await prepare();
  const before = await gateway.ports.webhooks.getDelivery("ada", made.deliveryId);
  isBroken = true;
  const { body } = await gateway.ask(
    `mutation { webhookRedeliver(input: { deliveryId: "${made.deliveryId}" }) { delivery { id } } }`,
    {},
    authorization,
  );
  expect(body.errors[0].extensions.code).toBe("INTERNAL");
  expect(await gateway.ports.webhooks.getDelivery("ada", made.deliveryId)).toEqual(before);
});

test.each([
  ["203.0.113.9", "198.51.100.1", [], "203.0.113.9"],
  ["10.0.0.1", "198.51.100.1", [], "10.0.0.1"],
  ["10.0.0.1", "1.1.1.1, 198.51.100.1", ["10.0.0.0/8"], "198.51.100.1"],
  ["::ffff:10.0.0.1", "1.1.1.1, 198.51.100.1, 10.0.0.2", ["10.0.0.0/8"], "198.51.100.1"],
  ["10.0.0.1", "not an address", ["10.0.0.0/8"], "10.0.0.1"],
  ["10.0.0.1", "", ["10.0.0.0/8"], "10.0.0.1"],
])(
  "the address of %s with X-Forwarded-For %s, trusting %j, is %4$s",
  (peer, forwarded, trusted, seen) => {
    const request = new Request("http://gateway", { headers: { "x-forwarded-for": forwarded } });
    expect(clientAddress(request, peer, trusted)).toBe(seen);
  },
);
