import { randomBytes, randomUUID } from "node:crypto";
import sharp from "sharp";
import { mintWebhookSecret } from "../../core/webhook-secret.ts";
import type { Data, FilledStore } from "./filled-store.ts";
import type { Operation } from "./operation.ts";

const tasks = [{ caption: {} }, { readText: {} }];
const url = "https://hooks.example.com/other";

/** A mutation with an `input`, which is made from the store before each measurement. */
function mutation(
  name: string,
  selection: string,
  input: (store: FilledStore) => object | Promise<object>,
): Operation {
  const field = name.split(":")[0] ?? "";
  const type = `${field.charAt(0).toUpperCase()}${field.slice(1)}Input!`;
  const query = (inputType: string) =>
    `mutation ($input: ${inputType}) { ${field}(input: $input) { ${selection} userErrors { code message } } }`;
  return {
    name,
    async prepare(store) {
      const given = await input(store);
      const document = query(inputTypes[field] ?? type);
      return () => store.ask(document, { input: given });
    },
  };
}

/** Of mutations whose input has another's type. */
const inputTypes: Readonly<Record<string, string>> = {
  webhookEndpointDelete: "WebhookEndpointChangeInput!",
  webhookEndpointDisable: "WebhookEndpointChangeInput!",
  webhookEndpointEnable: "WebhookEndpointChangeInput!",
  tenantDelete: "TenantChangeInput!",
  tenantDisable: "TenantChangeInput!",
  tenantEnable: "TenantChangeInput!",
};

async function newRun(store: FilledStore, parts: object = {}): Promise<Data> {
  const input = { source: { imageId: store.next().imageId }, tasks, ...parts };
  const query = "mutation ($input: RunCreateInput!) { runCreate(input: $input) { run { id } } }";
  return (await store.ask(query, { input })).runCreate.run;
}

/** A run that has finished. */
async function canceledRun(store: FilledStore, parts: object = {}): Promise<string> {
  const { id } = await newRun(store, parts);
  await store.ask(`mutation { runCancel(input: { runId: "${id}" }) { run { id } } }`);
  return id;
}

/** Another one at each call. */
function picture(): Promise<Buffer> {
  const [r = 0, g = 0, b = 0] = randomBytes(3);
  const create = { width: 16, height: 16, channels: 3 as const, background: { r, g, b } };
  return sharp({ create }).png().toBuffer();
}

/**
 * An endpoint beside the seed's two; those of earlier measurements go, because a tenant has 20 at
 * most.
 */
async function newEndpoint(store: FilledStore): Promise<string> {
  await removeEndpoints(store);
  const { webhookEndpointCreate } = await store.ask(
    `mutation { webhookEndpointCreate(input: { url: "${url}" }) { endpoint { id } userErrors { message } } }`,
  );
  return webhookEndpointCreate.endpoint.id;
}

async function removeEndpoints({ ports, seed }: FilledStore): Promise<void> {
  for (const { id } of await ports.webhooks.endpoints(seed.tenantId))
    if (id !== seed.endpointId && id !== seed.failingEndpointId)
      await ports.webhooks.removeEndpoint(seed.tenantId, id);
}

/** The failing endpoint's deliveries are given up again. */
async function giveUp({ ports, seed }: FilledStore): Promise<void> {
  const filter = { endpointId: seed.failingEndpointId, runId: null, status: "PENDING" as const };
  const page = { first: 100, after: null, ...filter };
  for (const delivery of (await ports.webhooks.deliveries(seed.tenantId, page)).deliveries)
    await ports.webhooks.replaceDelivery({
      ...delivery,
      version: delivery.version + 1,
      status: "FAILED",
      nextAttemptAt: null,
    });
}

async function newKey(store: FilledStore): Promise<string> {
  const { apiKeyCreate } = await store.ask(
    'mutation ($id: ID!) { apiKeyCreate(input: { name: "bench", tenantId: $id }) { apiKey { id } } }',
    { id: store.seed.otherTenants[0] },
  );
  return apiKeyCreate.apiKey.id;
}

const exporting =
  "mutation ($input: TenantExportInput!) { tenantExport(input: $input) { pageInfo { endCursor } } }";

const changed = (store: FilledStore) => ({ tenantId: store.seed.otherTenants[3] });
const ofEndpoint = async (store: FilledStore) => ({ endpointId: await newEndpoint(store) });

export const mutations: readonly Operation[] = [
  mutation("runCreate: a stored image", "run { id status }", (store) => ({
    source: { imageId: store.next().imageId },
    tasks,
  })),
  mutation("runCreate: an image that is stored, in base64", "run { id status }", ({ seed }) => ({
    source: { base64: Buffer.from(seed.image).toString("base64") },
    tasks,
  })),
  mutation("runCreate: a replay", "run { id } replayed", async (store) => {
    const input = {
      source: { imageId: store.next().imageId },
      tasks,
      idempotencyKey: randomUUID(),
    };
    await newRun(store, input);
    return input;
  }),
  mutation("runsCreate: 10", "items { run { id } userErrors { message } }", (store) => ({
    items: Array.from({ length: 10 }, () => ({ source: { imageId: store.next().imageId }, tasks })),
  })),
  mutation("runCancel", "run { id status }", async (store) => ({
    runId: (await newRun(store)).id,
  })),
  mutation("runDelete", "deleted", async (store) => ({ runId: await canceledRun(store) })),
  mutation("imageDelete", "deleted", async (store) => {
    const source = { base64: (await picture()).toString("base64") };
    const id = await canceledRun(store, { source });
    const { run } = await store.ask("query ($id: ID!) { run(id: $id) { image { id } } }", { id });
    return { imageId: run.image.id };
  }),
  mutation("uploadsCreate", "targets { uploadId url }", () => ({
    files: [{ byteSize: 1_000, sha256: "0".repeat(64) }],
  })),
  mutation("webhookEndpointCreate", "endpoint { id } secret", async (store) => {
    await removeEndpoints(store);
    return { url };
  }),
  mutation("webhookEndpointUpdate", "endpoint { id }", async (store) => ({
    ...(await ofEndpoint(store)),
    description: randomUUID(),
  })),
  mutation("webhookEndpointDelete", "endpointId", ofEndpoint),
  mutation("webhookEndpointDisable", "endpoint { id }", ofEndpoint),
  mutation("webhookEndpointEnable", "endpoint { id }", ofEndpoint),
  mutation("webhookSecretRotate", "secret", async (store) => ({
    ...(await ofEndpoint(store)),
    secret: mintWebhookSecret(),
  })),
  mutation("webhookRedeliver", "delivery { id status }", async (store) => {
    await giveUp(store);
    return { deliveryId: "whd_failed1" };
  }),
  mutation("webhookRecover: 20", "recovered", async (store) => {
    await giveUp(store);
    return { endpointId: store.seed.failingEndpointId, since: "2020-01-01T00:00:00Z" };
  }),
  mutation("webhookRecover: none", "recovered", ({ seed }) => ({
    endpointId: seed.endpointId,
    since: "2020-01-01T00:00:00Z",
  })),
  mutation("apiKeyCreate", "secret", ({ seed }) => ({
    name: "bench",
    tenantId: seed.otherTenants[0],
  })),
  mutation("apiKeyReroll", "secret", async (store) => ({ keyId: await newKey(store) })),
  mutation("apiKeyRevoke", "apiKey { id }", async (store) => ({ keyId: await newKey(store) })),
  mutation("tenantCreate", "tenant { id }", () => ({ name: "bench" })),
  mutation("tenantDelete", "tenant { deletion { startedAt } }", async (store) => ({
    tenantId: (
      await store.ask('mutation { tenantCreate(input: { name: "bench" }) { tenant { id } } }')
    ).tenantCreate.tenant.id,
  })),
  mutation("tenantDisable", "tenant { disabledAt }", changed),
  mutation("tenantEnable", "tenant { disabledAt }", changed),
  mutation("tenantExport: the first 100", "records { kind data }", () => ({})),
  mutation("tenantExport: the next 100", "records { kind data }", async (store) => {
    const { tenantExport } = await store.ask(exporting, { input: { first: 100 } });
    return { first: 100, after: tenantExport.pageInfo.endCursor };
  }),
  mutation("tenantLimitsSet", "tenant { limits { unitsPerMonth } }", (store) => ({
    ...changed(store),
    unitsPerMonth: 1_000_000,
  })),
];
