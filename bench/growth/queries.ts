import { cursorOf } from "../../adapters/cursor.ts";
import type { FilledStore } from "./filled-store.ts";
import type { Operation } from "./operation.ts";

const run = `id status createdAt startedAt finishedAt image { id sha256 } model { id } metadata
  tasks { name raw remainder finish error { code } timings { tokens } provenance { revision files { path } } }`;
const delivery =
  "id eventId eventType runId status nextAttemptAt attempts { at durationMs httpStatus error excerpt }";
const usage = "runs tasks encodings tokens cost";
const day = 86_400_000;
const at = (instant: number) => new Date(instant).toISOString();

/** A query whose text and variables are known from the store. */
function query(name: string, make: (store: FilledStore) => readonly [string, object?]): Operation {
  return {
    name,
    async prepare(store) {
      const [text, variables] = make(store);
      return () => store.ask(text, variables);
    },
  };
}

function runs(name: string, filter: string, selection = "id status createdAt"): Operation {
  return query(name, () => [
    `{ runs(${filter}) { edges { cursor node { ${selection} } } pageInfo { hasNextPage } } }`,
  ]);
}

function usageOf(name: string, span: (now: number) => readonly [number, number]): Operation {
  return query(name, ({ ports }) => {
    const [from, to] = span(ports.clock.now());
    return [
      `query ($from: DateTime!, $to: DateTime!) { usage(from: $from, to: $to) { ${usage} } }`,
      { from: at(from), to: at(to) },
    ];
  });
}

function deliveries(name: string, filter: (store: FilledStore) => object): Operation {
  return query(name, (store) => [
    `query ($first: Int!, $after: String, $endpointId: ID, $runId: ID, $status: WebhookDeliveryStatus) {
      webhookDeliveries(first: $first, after: $after, endpointId: $endpointId, runId: $runId, status: $status) {
        edges { node { ${delivery} } } pageInfo { endCursor }
      }
    }`,
    { first: 20, ...filter(store) },
  ]);
}

function audit(name: string, filter: (store: FilledStore) => object): Operation {
  return query(name, (store) => [
    `query ($filter: AuditFilter) {
      auditLog(filter: $filter) { edges { node { id at action details actor { keyId } } } pageInfo { endCursor } }
    }`,
    { filter: filter(store) },
  ]);
}

/** A place in the middle of what the listings hold. */
const middle = (store: FilledStore) => cursorOf(store.next());

export const queries: readonly Operation[] = [
  query("viewer", () => [
    "{ viewer { keyId scopes rateLimit { remaining } tenant { id name limits { unitsPerMonth } } } }",
  ]),
  query("viewer: keys and usage", ({ ports }) => [
    `query ($to: DateTime!) { viewer { tenant { apiKeys { id name } usage(from: "2020-01-01T00:00:00Z", to: $to) { ${usage} } } } }`,
    { to: at(ports.clock.now()) },
  ]),
  query("node: a run", (store) => [
    "query ($id: ID!) { node(id: $id) { id ... on Run { status tasks { raw } } } }",
    { id: store.next().id },
  ]),
  query("node: an image", (store) => [
    "query ($id: ID!) { node(id: $id) { id ... on Image { sha256 } } }",
    { id: store.next().imageId },
  ]),
  query("run", (store) => [
    `query ($id: ID!) { run(id: $id) { ${run} } }`,
    { id: store.next().id },
  ]),
  runs("runs: 20", "first: 20"),
  runs("runs: 100 in full", "first: 100", run),
  query("runs: 100 from the middle", (store) => [
    `query ($after: String!) { runs(first: 100, after: $after) { edges { node { id image { id } model { id status } } } } }`,
    { after: middle(store) },
  ]),
  ...[
    "QUEUED",
    "PROCESSING",
    "SUCCEEDED",
    "PARTIALLY_SUCCEEDED",
    "FAILED",
    "CANCELED",
    "EXPIRED",
  ].map((status) => runs(`runs: ${status}`, `status: [${status}]`)),
  runs("runs: two statuses", "status: [SUCCEEDED, CANCELED]"),
  query("models", () => ["{ models { id revision status tasks aliases isCurrent } }"]),
  usageOf("usage: ten years", (now) => [now - 3_650 * day, now]),
  usageOf("usage: 80 days and a bit", (now) => [now - 80 * day - 12_345_678, now - 2_345_678]),
  usageOf("usage: a day", (now) => [now - day, now]),
  query("usage: five at once", ({ ports }) => {
    const to = ports.clock.now();
    const fields = [1, 10, 20, 40, 80].map(
      (days) => `days${days}: usage(from: "${at(to - days * day)}", to: "${at(to)}") { ${usage} }`,
    );
    return [`{ ${fields.join(" ")} }`];
  }),
  query("webhookEndpoint", ({ seed }) => [
    "query ($id: ID!) { webhookEndpoint(id: $id) { id url events failingSince } }",
    { id: seed.endpointId },
  ]),
  query("webhookEndpoints", () => ["{ webhookEndpoints { id url events failingSince } }"]),
  query("webhookDelivery", (store) => [
    `query ($id: ID!) { webhookDelivery(id: $id) { ${delivery} } }`,
    { id: store.next().deliveryId },
  ]),
  deliveries("webhookDeliveries: 20", () => ({})),
  deliveries("webhookDeliveries: 100 from the middle", (store) => ({
    first: 100,
    after: middle(store),
  })),
  deliveries("webhookDeliveries: of a run", (store) => ({ runId: store.next().id })),
  deliveries("webhookDeliveries: SUCCEEDED", () => ({ status: "SUCCEEDED" })),
  deliveries("webhookDeliveries: HELD (none)", () => ({ status: "HELD" })),
  deliveries("webhookDeliveries: FAILED at an endpoint", ({ seed }) => ({
    endpointId: seed.failingEndpointId,
    status: "FAILED",
  })),
  deliveries("webhookDeliveries: all filters", (store) => ({
    runId: store.next().id,
    endpointId: store.seed.failingEndpointId,
    status: "FAILED",
  })),
  query("webhookDryRun", (store) => [
    "query ($endpointId: ID!, $runId: ID!) { webhookDryRun(endpointId: $endpointId, runId: $runId) { body headers { name } } }",
    { endpointId: store.seed.endpointId, runId: store.next().id },
  ]),
  query("tenant: with keys and usage", ({ ports, seed }) => [
    `query ($id: ID!, $to: DateTime!) {
      tenant(id: $id) { name apiKeys { id } usage(from: "2020-01-01T00:00:00Z", to: $to) { ${usage} } }
    }`,
    { id: seed.otherTenants[0], to: at(ports.clock.now()) },
  ]),
  audit("auditLog: 20", () => ({})),
  audit("auditLog: of a tenant", ({ seed }) => ({ tenantId: seed.tenantId })),
  audit("auditLog: of a tenant and a day", ({ ports, seed }) => ({
    tenantId: seed.tenantId,
    from: at(ports.clock.now() - 50 * day),
    to: at(ports.clock.now() - 49 * day),
  })),
  audit("auditLog: an action that is rare", () => ({ action: "webhookEndpoint.recover" })),
  audit("auditLog: a tenant's action that is rare", ({ seed }) => ({
    tenantId: seed.tenantId,
    action: "tenant.disable",
  })),
  audit("auditLog: of an object", ({ seed }) => ({ subjectId: seed.otherTenants[1] })),
  query("imageBytes", (store) => [
    "query ($id: ID!) { imageBytes(id: $id) { base64 nextOffset } }",
    { id: store.next().imageId },
  ]),
  query("tenants: with usage", ({ ports }) => [
    `query ($to: DateTime!) { tenants(first: 5) { edges { node { id usage(from: "2020-01-01T00:00:00Z", to: $to) { cost } } } } }`,
    { to: at(ports.clock.now()) },
  ]),
];
