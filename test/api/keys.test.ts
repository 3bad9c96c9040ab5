import { createServer, request } from "node:http";
import { text } from "node:stream/consumers";
import { isObjectType } from "graphql";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { buildGatewaySchema } from "../../api/schema.ts";
import { mintKey, type Scope, scopes, tenantScopes } from "../../core/tenant.ts";
import { grantOf } from "../core/new-key.ts";
import { runCreate, runInput, send, startGateway, type TestGateway } from "./start.ts";

const pepper = "pepper";
let gateway: TestGateway;
beforeEach(async () => {
  gateway = await startGateway({ secret: pepper });
  onTestFinished(() => gateway.close());
});

async function keyWith(
  granted: readonly Scope[],
  tenantId = "ada",
  expiresAt: number | null = null,
) {
  const { text, key } = mintKey(grantOf(tenantId, { scopes: granted, expiresAt }), pepper, 0);
  await gateway.ports.tenants.createKey(key);
  return { authorization: `Bearer ${text}`, key };
}

const keyFields =
  "apiKey { id name scopes expiresAt revokedAt } userErrors { path code message fix }";
const create = `mutation ($input: ApiKeyCreateInput!) { apiKeyCreate(input: $input) { secret ${keyFields} } }`;
const reroll = `mutation ($input: ApiKeyRerollInput!) { apiKeyReroll(input: $input) { secret ${keyFields} } }`;
const revoke = `mutation ($input: ApiKeyRevokeInput!) { apiKeyRevoke(input: $input) { ${keyFields} } }`;
const viewer = "{ viewer { tenant { id } keyId scopes } }";

async function payload(operation: string, input: object, authorization: string) {
  const { body } = await gateway.ask(operation, { input }, authorization);
  return Object.values(body.data)[0] as {
    secret: string;
    apiKey: { id: string } | null;
    userErrors: { code: string; path: string[] }[];
  };
}

describe("scopes", () => {
  test("every mutation and event names one, and every root field that is a tenant's", () => {
    const schema = buildGatewaySchema();
    const open = ["viewer", "models"];
    for (const root of [
      schema.getQueryType(),
      schema.getMutationType(),
      schema.getSubscriptionType(),
    ]) {
      for (const { name, astNode } of Object.values(root?.getFields() ?? {})) {
        const named = astNode?.directives?.some((directive) => directive.name.value === "scope");
        expect(named, name).toBe(!open.includes(name));
      }
    }
    const scope = schema.getType("Scope");
    expect(scope && "getValues" in scope && scope.getValues().map(({ name }) => name)).toEqual(
      scopes,
    );
  });

  test("a field is closed to every key that lacks all of its scopes, whatever else it has", async () => {
    const schema = buildGatewaySchema();
    for (const type of Object.values(schema.getTypeMap()).filter(isObjectType)) {
      const isRoot = [schema.getQueryType(), schema.getMutationType()].includes(type);
      for (const { name, args, type: result, astNode } of isRoot
        ? Object.values(type.getFields())
        : []) {
        const text = JSON.stringify(astNode?.directives ?? []);
        const any = scopes.filter((scope) => text.includes(`"${scope}"`));
        if (any.length === 0) continue;
        const { authorization } = await keyWith(scopes.filter((scope) => !any.includes(scope)));
        const variables = args
          .map((arg) => `$${arg.name}: ${arg.type}`)
          .filter((each) => each.includes("!") && !each.includes("Int"));
        const passed = args
          .filter((arg) => variables.some((each) => each.startsWith(`$${arg.name}:`)))
          .map((arg) => `${arg.name}: $${arg.name}`);
        const call = passed.length > 0 ? `${name}(${passed.join(" ")})` : name;
        const kind = type === schema.getQueryType() ? "query" : "mutation";
        const head = variables.length > 0 ? `${kind} (${variables.join(" ")})` : kind;
        const { body } = await gateway.ask(
          `${head} { ${call} ${"getFields" in result || String(result).match(/^\[?[A-Z]/) ? "{ __typename }" : ""} }`,
          values[name] ?? { id: "x" },
          authorization,
        );
        expect(body.errors?.[0], `${name}: ${JSON.stringify(body)}`).toMatchObject({
          path: [name],
          extensions: { code: "FORBIDDEN", fix: expect.stringContaining(any[0] ?? "") },
        });
      }
    }
  });

  test("a subscription is closed as well", async () => {
    const { authorization } = await keyWith(["RUNS_WRITE"]);
    const { body } = await send(`${gateway.url}/graphql/stream`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization },
      body: JSON.stringify({ query: 'subscription { runProgress(id: "run_x") { id } }' }),
    });
    expect(body).toContain('"code":"FORBIDDEN"');
  });

  test("a key with the scope passes: who may write runs need not be able to read them", async () => {
    const { authorization } = await keyWith(["RUNS_WRITE"]);
    const { body } = await gateway.ask(runCreate, { input: await runInput() }, authorization);
    expect(body.data.runCreate.run.status).toBe("QUEUED");
    expect(
      (await gateway.ask("{ runs { edges { cursor } } }", {}, authorization)).body.errors[0]
        .extensions.code,
    ).toBe("FORBIDDEN");
  });
});

/**
 * Inputs that pass validation, for mutations: the scope is asked before anything is done with them.
 */
const values: Record<string, object> = {
  tenantExport: { input: {} },
  usage: { from: "2026-01-01T00:00:00Z", to: "2026-02-01T00:00:00Z" },
  runCreate: { input: { source: { base64: "eA==" }, tasks: [{ caption: {} }] } },
  runsCreate: { input: { items: [] } },
  runCancel: { input: { runId: "x" } },
  runDelete: { input: { runId: "x" } },
  imageDelete: { input: { imageId: "x" } },
  uploadsCreate: { input: { files: [] } },
  apiKeyCreate: { input: { name: "x" } },
  apiKeyReroll: { input: { keyId: "x" } },
  apiKeyRevoke: { input: { keyId: "x" } },
  tenantCreate: { input: { name: "x" } },
  tenantDelete: { input: { tenantId: "x" } },
  tenantDisable: { input: { tenantId: "x" } },
  tenantEnable: { input: { tenantId: "x" } },
  tenantLimitsSet: { input: { tenantId: "x" } },
  webhookDryRun: { endpointId: "x", runId: "x" },
  webhookEndpointCreate: { input: { url: "https://example.com" } },
  webhookEndpointUpdate: { input: { endpointId: "x" } },
  webhookEndpointDelete: { input: { endpointId: "x" } },
  webhookEndpointDisable: { input: { endpointId: "x" } },
  webhookEndpointEnable: { input: { endpointId: "x" } },
  webhookSecretRotate: { input: { endpointId: "x" } },
  webhookRedeliver: { input: { deliveryId: "x" } },
  webhookRecover: { input: { endpointId: "x", since: "2026-01-01T00:00:00Z" } },
};

describe("keys", () => {
  test("a created key works at once, with the scopes it was given, and its secret is in no list", async () => {
    const { authorization } = await keyWith(["KEYS_ADMIN", "RUNS_READ"]);
    const made = await payload(
      create,
      { name: "reader", scopes: ["RUNS_READ"], expiresAt: "2999-01-01T00:00:00+01:00" },
      authorization,
    );
    expect(made).toMatchObject({
      apiKey: {
        name: "reader",
        scopes: ["RUNS_READ"],
        expiresAt: "2998-12-31T23:00:00.000Z",
        revokedAt: null,
      },
      userErrors: [],
    });
    const { body } = await gateway.ask(viewer, {}, `Bearer ${made.secret}`);
    expect(body.data.viewer).toEqual({
      tenant: { id: "ada" },
      keyId: made.apiKey?.id,
      scopes: ["RUNS_READ"],
    });
    const list = await gateway.ask(
      "{ viewer { tenant { apiKeys { id name } } } }",
      {},
      authorization,
    );
    expect(list.body.data.viewer.tenant.apiKeys).toContainEqual({
      id: made.apiKey?.id,
      name: "reader",
    });
    expect(JSON.stringify(list.body)).not.toContain(made.secret.slice(31, 63));
    expect(
      (await gateway.ask("{ viewer { tenant { apiKeys { id } } } }", {}, `Bearer ${made.secret}`))
        .body.errors[0].extensions.code,
    ).toBe("FORBIDDEN");
  });

  test("a key cannot make, or learn the secret of, one that may do more than itself", async () => {
    const { authorization } = await keyWith(["KEYS_ADMIN"]);
    const { key: stronger } = await keyWith(tenantScopes);
    const granted = await payload(
      create,
      { name: "x", scopes: ["KEYS_ADMIN", "OPERATOR"] },
      authorization,
    );
    expect(granted).toMatchObject({
      secret: null,
      apiKey: null,
      userErrors: [{ code: "FORBIDDEN", path: ["input", "scopes"] }],
    });
    const rolled = await payload(reroll, { keyId: stronger.id }, authorization);
    expect(rolled).toMatchObject({
      secret: null,
      userErrors: [{ code: "FORBIDDEN", path: ["input", "keyId"] }],
    });
    expect(await gateway.ports.tenants.findKey(stronger.id)).toEqual(stronger);
    expect((await payload(create, { name: "same" }, authorization)).apiKey).toMatchObject({
      scopes: ["KEYS_ADMIN"],
    });
  });

  test("a rerolled key goes on for its grace time only, and the new one has its name, scopes and end", async () => {
    const { authorization } = await keyWith(tenantScopes);
    const { key, authorization: old } = await keyWith(["RUNS_READ"]);
    const fresh = await payload(reroll, { keyId: key.id, graceSeconds: 60 }, authorization);
    expect(fresh.apiKey).toMatchObject({ name: key.name, scopes: key.scopes, expiresAt: null });
    expect((await gateway.ask(viewer, {}, old)).status).toBe(200);
    const end = (await gateway.ports.tenants.findKey(key.id))?.expiresAt ?? 0;
    expect(end - gateway.ports.clock.now()).toBeGreaterThan(30_000);
    expect(end - gateway.ports.clock.now()).toBeLessThanOrEqual(60_000);
    const next = await payload(reroll, { keyId: fresh.apiKey?.id, graceSeconds: 0 }, authorization);
    expect((await gateway.ask(viewer, {}, `Bearer ${fresh.secret}`)).status).toBe(401);
    expect((await gateway.ask(viewer, {}, `Bearer ${next.secret}`)).status).toBe(200);
    expect(
      (await payload(reroll, { keyId: key.id, graceSeconds: -1 }, authorization)).userErrors,
    ).toMatchObject([{ code: "INVALID" }]);
  });

  test("a revoked key is refused by the next request, and cannot be rerolled", async () => {
    const { authorization } = await keyWith(tenantScopes);
    const { key, authorization: victim } = await keyWith(["RUNS_READ"]);
    expect((await gateway.ask(viewer, {}, victim)).status).toBe(200);
    expect(await payload(revoke, { keyId: key.id }, authorization)).toMatchObject({
      apiKey: { revokedAt: expect.any(String) },
      userErrors: [],
    });
    expect((await gateway.ask(viewer, {}, victim)).status).toBe(401);
    expect((await payload(reroll, { keyId: key.id }, authorization)).userErrors).toMatchObject([
      { code: "INVALID", path: ["input", "keyId"] },
    ]);
  });

  test("an expired key is refused", async () => {
    const { authorization } = await keyWith(tenantScopes, "ada", gateway.ports.clock.now() - 1);
    expect((await gateway.ask(viewer, {}, authorization)).status).toBe(401);
  });

  test.each([
    [{ name: "" }, ["input", "name"]],
    [{ name: "two\nlines" }, ["input", "name"]],
    [{ name: "x", scopes: [] }, ["input", "scopes"]],
    [{ name: "x", expiresAt: "2001-01-01T00:00:00Z" }, ["input", "expiresAt"]],
  ])("an input that cannot be is told by its path: %j", async (input, path) => {
    const { authorization } = await keyWith(tenantScopes);
    expect((await payload(create, input, authorization)).userErrors).toMatchObject([
      { code: "INVALID", path },
    ]);
  });

  test("an instant without an offset is no DateTime", async () => {
    const { authorization } = await keyWith(tenantScopes);
    const { body } = await gateway.ask(
      create,
      { input: { name: "x", expiresAt: "2999-01-01" } },
      authorization,
    );
    expect(body.errors[0]).toMatchObject({ message: expect.stringContaining("ISO 8601") });
  });
});

describe("operators", () => {
  const tenant = "tenant { id name createdAt disabledAt } userErrors { path code }";
  const make = `mutation ($input: TenantCreateInput!) { tenantCreate(input: $input) { ${tenant} } }`;
  const change = (field: string) =>
    `mutation ($input: TenantChangeInput!) { ${field}(input: $input) { ${tenant} } }`;

  test("make tenants and their keys, and list both", async () => {
    const { authorization } = await keyWith(["OPERATOR"]);
    const made = (await gateway.ask(make, { input: { name: "Grace & Co" } }, authorization)).body
      .data.tenantCreate.tenant;
    const { secret } = await payload(create, { name: "first", tenantId: made.id }, authorization);
    const seen = await gateway.ask(viewer, {}, `Bearer ${secret}`);
    expect(seen.body.data.viewer).toMatchObject({ tenant: { id: made.id }, scopes: tenantScopes });
    const page = await gateway.ask(
      "{ tenants(first: 2) { edges { node { id } } pageInfo { hasNextPage endCursor } } }",
      {},
      authorization,
    );
    expect(page.body.data.tenants).toEqual({
      edges: [{ node: { id: "ada" } }, { node: { id: "bob" } }],
      pageInfo: { hasNextPage: true, endCursor: "bob" },
    });
    const rest = await gateway.ask(
      '{ tenants(after: "bob") { edges { node { id apiKeys { name } } } } }',
      {},
      authorization,
    );
    expect(rest.body.data.tenants.edges).toEqual([
      { node: { id: made.id, apiKeys: [{ name: "first" }] } },
    ]);
  });

  test("a disabled tenant's keys are refused like unknown ones, until it is enabled", async () => {
    const { authorization } = await keyWith(["OPERATOR"], "bob");
    const disabled = await gateway.ask(
      change("tenantDisable"),
      { input: { tenantId: "ada" } },
      authorization,
    );
    expect(disabled.body.data.tenantDisable.tenant.disabledAt).toEqual(expect.any(String));
    const [refused, unknown] = [
      await gateway.ask(viewer),
      await gateway.ask(viewer, {}, `Bearer ${mintKey(grantOf("ada"), "x", 0).text}`),
    ];
    expect([refused.status, unknown.status]).toEqual([401, 401]);
    expect(refused.body).toEqual(unknown.body);
    await gateway.ask(change("tenantEnable"), { input: { tenantId: "ada" } }, authorization);
    expect((await gateway.ask(viewer)).status).toBe(200);
    const missing = await gateway.ask(
      change("tenantDisable"),
      { input: { tenantId: "nobody" } },
      authorization,
    );
    expect(missing.body.data.tenantDisable).toEqual({
      tenant: null,
      userErrors: [{ path: ["input", "tenantId"], code: "NOT_FOUND" }],
    });
  });
});

describe("a browser", () => {
  /** Answers with the status and the body. fetch cannot name another Host. */
  function ask(
    headers: Record<string, string>,
  ): Promise<{ status: number | undefined; body: string }> {
    const own = { "content-type": "application/json", authorization: `Bearer ${gateway.keys.ada}` };
    return new Promise((resolve, reject) => {
      const sent = request(
        `${gateway.url}/graphql`,
        { method: "POST", headers: { ...own, ...headers } },
        async (response) => {
          resolve({ status: response.statusCode, body: await text(response) });
        },
      );
      sent.on("error", reject).end(JSON.stringify({ query: viewer }));
    });
  }

  test("on this machine may use a key", async () => {
    expect((await ask({ origin: "http://127.0.0.1:4000" })).status).toBe(200);
  });

  test.each([
    { origin: "https://shop.example" },
    { "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors" },
  ])("elsewhere is refused with the reason: %j", async (headers) => {
    const { status, body } = await ask({ host: "vedere.example", ...headers });
    expect(status).toBe(403);
    expect(JSON.parse(body)).toEqual({
      errors: [{ message: expect.stringContaining("browser"), extensions: { code: "FORBIDDEN" } }],
    });
  });

  test("is told apart from a server: Node's own fetch names a mode, but no site", async () => {
    expect((await ask({ host: "vedere.example", "sec-fetch-mode": "cors" })).status).toBe(200);
    let seen: Request["headers"] | undefined;
    const server = createServer((incoming, outgoing) => {
      seen = new Headers(
        Object.entries(incoming.headersDistinct).map(
          ([name, values]) => [name, String(values)] as [string, string],
        ),
      );
      outgoing.end();
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const address = server.address();
    await fetch(`http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`, {
      method: "POST",
      body: "x",
    });
    server.close();
    expect([seen?.has("sec-fetch-mode"), seen?.has("sec-fetch-site"), seen?.has("origin")]).toEqual(
      [true, false, false],
    );
  });
});
