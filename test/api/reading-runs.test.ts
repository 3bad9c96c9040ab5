import { isObjectType } from "graphql";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildGatewaySchema } from "../../api/schema.ts";
import { messageOf, targetOf } from "../../api/webhooks/message.ts";
import { mintKey, type Scope, scopes } from "../../core/tenant.ts";
import { eventOf } from "../../core/webhook.ts";
import { grantOf } from "../core/new-key.ts";
import { newRun } from "../core/new-run.ts";
import { everyOperation } from "./every-field.ts";
import { runInput, startGateway, type TestGateway } from "./start.ts";

/**
 * Stands in the run's metadata, and must stand in nothing that a key without RUNS_READ receives.
 */
const sentinel = "SENTINEL-4711";
const pepper = "pepper";
/** What a run shows to every key that comes by it. */
const openFields = ["id", "status", "createdAt", "startedAt", "finishedAt"];

let gateway: TestGateway;
let endpointId: string;
beforeAll(async () => {
  gateway = await startGateway({ secret: pepper });
  const { runs } = gateway.ports;
  const { run } = await runs.create(
    newRun({ id: "run_x", tenantId: "ada", metadata: { sentinel } }),
    null,
  );
  await runs.replace({ ...run, version: 2, status: "SUCCEEDED", finishedAt: 1 });
  const made = await gateway.ask(
    `mutation { webhookEndpointCreate(input: { url: "https://example.com/a", payloadQuery: "{ id metadata }" }) { endpoint { id } } }`,
  );
  endpointId = made.body.data.webhookEndpointCreate.endpoint.id;
});
afterAll(() => gateway.close());

async function keyWith(...granted: readonly Scope[]) {
  const { text, key } = mintKey(grantOf("ada", { scopes: granted }), pepper, 0);
  await gateway.ports.tenants.createKey(key);
  return `Bearer ${text}`;
}

test("each field of a run but its id, status and instants needs RUNS_READ, wherever the run appears", () => {
  const run = buildGatewaySchema().getType("Run");
  if (!isObjectType(run)) throw new Error("The schema has no Run.");
  for (const { name, astNode } of Object.values(run.getFields())) {
    const asked = JSON.stringify(astNode?.directives ?? []).includes('"RUNS_READ"');
    expect(asked, name).toBe(!openFields.includes(name));
  }
});

describe.each(scopes.filter((scope) => scope !== "RUNS_READ"))("a key with %s alone", (scope) => {
  test("reads nothing of a run, whatever operation it sends", async () => {
    const authorization = await keyWith(scope);
    for (const { name, query } of everyOperation(buildGatewaySchema())) {
      if (/Delete|tenantDisable|apiKeyRevoke/.test(name)) continue; // they would end what the next ones ask for
      const { body } = await gateway.ask(
        query.replace(/endpointId: "[^"]*"/, `endpointId: "${endpointId}"`),
        {},
        authorization,
      );
      expect(JSON.stringify(body), name).not.toContain(sentinel);
    }
  });
});

test("RUNS_WRITE creates and cancels: it sees id and status, and the rest refused by its path", async () => {
  const authorization = await keyWith("RUNS_WRITE");
  const { body } = await gateway.ask(
    `mutation ($input: RunCreateInput!) { runCreate(input: $input) { run { id status tasks { raw } metadata } userErrors { code } } }`,
    { input: await runInput({ metadata: { sentinel } }) },
    authorization,
  );
  const { run } = body.data.runCreate;
  expect(run).toMatchObject({ status: "QUEUED", tasks: null, metadata: null });
  expect(
    body.errors.map((error: { path: string[]; extensions: object }) => [
      error.path.at(-1),
      error.extensions,
    ]),
  ).toEqual([
    ["tasks", expect.objectContaining({ code: "FORBIDDEN" })],
    ["metadata", expect.objectContaining({ code: "FORBIDDEN" })],
  ]);
  const canceled = await gateway.ask(
    `mutation { runCancel(input: { runId: "${run.id}" }) { run { id status } userErrors { code } } }`,
    {},
    authorization,
  );
  expect(canceled.body.data.runCancel).toEqual({
    run: { id: run.id, status: "CANCELED" },
    userErrors: [],
  });
});

describe("a webhook set up without RUNS_READ", () => {
  const create = (input: string) => `mutation { webhookEndpointCreate(input: { ${input} }) {
    endpoint { id } userErrors { code path } } }`;

  test("has no payload query, nor has a run's own", async () => {
    const admin = await keyWith("WEBHOOKS_ADMIN");
    const { body } = await gateway.ask(
      create('url: "https://example.com", payloadQuery: "{ id metadata }"'),
      {},
      admin,
    );
    expect(body.data.webhookEndpointCreate).toEqual({
      endpoint: null,
      userErrors: [{ code: "FORBIDDEN", path: ["input", "payloadQuery"] }],
    });
    const secret = `whsec_${Buffer.alloc(32, 1).toString("base64")}`;
    const webhook = { url: "https://example.com", secret, payloadQuery: "{ metadata }" };
    const made = await gateway.ask(
      "mutation ($input: RunCreateInput!) { runCreate(input: $input) { run { id } userErrors { code path } } }",
      { input: await runInput({ webhook }) },
      await keyWith("RUNS_WRITE"),
    );
    expect(made.body.data.runCreate).toEqual({
      run: null,
      userErrors: [{ code: "FORBIDDEN", path: ["input", "webhook", "payloadQuery"] }],
    });
  });

  test("receives id and status, no metadata", async () => {
    const { body } = await gateway.ask(
      create('url: "https://example.com"'),
      {},
      await keyWith("WEBHOOKS_ADMIN"),
    );
    const { ports } = gateway;
    const endpoint = await ports.webhooks.getEndpoint(
      "ada",
      body.data.webhookEndpointCreate.endpoint.id,
    );
    const run = await ports.runs.get("ada", "run_x");
    const event = run && eventOf(run);
    if (!endpoint || !event) throw new Error("There is no endpoint or no event.");
    const target = targetOf(endpoint, { secret: pepper, now: 1 });
    const log = { info() {}, error() {} };
    const message = await messageOf(
      { event, run, target },
      { ports, schema: buildGatewaySchema(), log },
    );
    expect(JSON.parse(message.body).data.run).toEqual({
      id: "run_x",
      status: "SUCCEEDED",
      metadata: null,
    });
  });

  test("leads no payload that shows runs to another place", async () => {
    const { body } = await gateway.ask(
      `mutation { webhookEndpointUpdate(input: { endpointId: "${endpointId}", url: "https://example.org" }) {
        endpoint { url } userErrors { code path } } }`,
      {},
      await keyWith("WEBHOOKS_ADMIN"),
    );
    expect(body.data.webhookEndpointUpdate).toEqual({
      endpoint: null,
      userErrors: [{ code: "FORBIDDEN", path: ["input", "url"] }],
    });
    expect((await gateway.ports.webhooks.getEndpoint("ada", endpointId))?.url).toBe(
      "https://example.com/a",
    );
  });
});
