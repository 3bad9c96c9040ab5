import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { mintKey, type Scope, tenantScopes } from "../../core/tenant.ts";
import { grantOf } from "../core/new-key.ts";
import { startGateway, type TestGateway } from "./start.ts";

const pepper = "pepper";
let gateway: TestGateway;
beforeEach(async () => {
  gateway = await startGateway({ secret: pepper });
  onTestFinished(() => gateway.close());
});

async function keyWith(scopes: readonly Scope[], expiresAt: number | null = null, tenant = "ada") {
  const { text, key } = mintKey(grantOf(tenant, { scopes, expiresAt }), pepper, 0);
  await gateway.ports.tenants.createKey(key);
  return { authorization: `Bearer ${text}`, key };
}

async function ask(field: string, input: object, authorization: string) {
  const type = { apiKeyCreate: "Create", apiKeyReroll: "Reroll", apiKeyRevoke: "Revoke" }[field];
  const { body } = await gateway.ask(
    `mutation ($input: ApiKey${type}Input!) { ${field}(input: $input) {
      apiKey { id expiresAt revokedAt } userErrors { path code message fix } } }`,
    { input },
    authorization,
  );
  return body.data[field];
}

const end = Date.parse("2990-01-01T00:00:00Z");
const textOf = (at: number) => new Date(at).toISOString();

describe.each([
  ["KEYS_ADMIN", tenantScopes],
  ["OPERATOR", ["OPERATOR", ...tenantScopes] as const],
])("a key with an end and %s", (_name, scopes) => {
  test.each([null, textOf(end + 1)])("mints no key that ends at %s", async (expiresAt) => {
    const { authorization } = await keyWith(scopes, end);
    const before = (await gateway.ports.tenants.keys("ada")).length;
    expect(await ask("apiKeyCreate", { name: "x", expiresAt }, authorization)).toMatchObject({
      apiKey: null,
      userErrors: [
        {
          code: "FORBIDDEN",
          path: ["input", "expiresAt"],
          fix: expect.stringContaining(textOf(end)),
        },
      ],
    });
    expect(await gateway.ports.tenants.keys("ada")).toHaveLength(before);
  });

  test("mints a key that ends with it", async () => {
    const { authorization } = await keyWith(scopes, end);
    const made = await ask(
      "apiKeyCreate",
      { name: "x", expiresAt: textOf(end), scopes: ["RUNS_READ"] },
      authorization,
    );
    expect(made).toMatchObject({ apiKey: { expiresAt: textOf(end) }, userErrors: [] });
  });

  test("rerolls no key that ends later, and itself with its own end", async () => {
    const { authorization, key } = await keyWith(scopes, end);
    const { key: lasting } = await keyWith(["RUNS_READ"]);
    expect(await ask("apiKeyReroll", { keyId: lasting.id }, authorization)).toMatchObject({
      apiKey: null,
      userErrors: [{ code: "FORBIDDEN", path: ["input", "keyId"] }],
    });
    expect(await gateway.ports.tenants.findKey(lasting.id)).toEqual(lasting);
    expect(await ask("apiKeyReroll", { keyId: key.id }, authorization)).toMatchObject({
      apiKey: { expiresAt: textOf(end) },
      userErrors: [],
    });
  });
});

test("a key in its grace time mints nothing that outlives it", async () => {
  const { authorization, key } = await keyWith(tenantScopes);
  await ask("apiKeyReroll", { keyId: key.id, graceSeconds: 600 }, authorization);
  expect(await ask("apiKeyCreate", { name: "x" }, authorization)).toMatchObject({
    apiKey: null,
    userErrors: [{ code: "FORBIDDEN", path: ["input", "expiresAt"] }],
  });
});

describe("a key that revokes another", () => {
  test.each([
    ["of more scopes", tenantScopes, null],
    ["with OPERATOR", ["KEYS_ADMIN", "OPERATOR"] as const, null],
  ])("cannot do so to one %s", async (_name, scopes, expiresAt) => {
    const { authorization } = await keyWith(["KEYS_ADMIN", "RUNS_READ"]);
    const { key } = await keyWith(scopes, expiresAt);
    expect(await ask("apiKeyRevoke", { keyId: key.id }, authorization)).toMatchObject({
      apiKey: null,
      userErrors: [
        {
          code: "FORBIDDEN",
          path: ["input", "keyId"],
          fix: expect.any(String),
        },
      ],
    });
    expect(await gateway.ports.tenants.findKey(key.id)).toEqual(key);
  });

  test("cannot do so to one that ends later", async () => {
    const { authorization } = await keyWith(tenantScopes, end);
    for (const later of [null, end + 1]) {
      const { key } = await keyWith(["RUNS_READ"], later);
      const { userErrors } = await ask("apiKeyRevoke", { keyId: key.id }, authorization);
      expect(userErrors).toMatchObject([{ code: "FORBIDDEN" }]);
      expect(await gateway.ports.tenants.findKey(key.id)).toEqual(key);
    }
  });

  test("can do so to itself, to weaker ones, and as OPERATOR to all", async () => {
    const { authorization: own, key } = await keyWith(["KEYS_ADMIN", "RUNS_READ"]);
    const { key: weaker } = await keyWith(["RUNS_READ"], end);
    expect((await ask("apiKeyRevoke", { keyId: weaker.id }, own)).userErrors).toEqual([]);
    expect((await ask("apiKeyRevoke", { keyId: key.id }, own)).apiKey.revokedAt).not.toBeNull();
    const { authorization: operator } = await keyWith(["OPERATOR"], end);
    const { key: strongest } = await keyWith(["OPERATOR", ...tenantScopes], null, "bob");
    const { apiKey } = await ask("apiKeyRevoke", { keyId: strongest.id }, operator);
    expect(apiKey.revokedAt).not.toBeNull();
  });
});

test("an upload URL ends no later than the key that asked for it", async () => {
  const soon = Date.now() + 60_000;
  const { authorization } = await keyWith(["IMAGES_WRITE"], soon);
  const { body } = await gateway.ask(
    `mutation { uploadsCreate(input: { files: [{ byteSize: 1, sha256: "${"0".repeat(64)}" }] }) {
      targets { expiresAt url } } }`,
    {},
    authorization,
  );
  const [target] = body.data.uploadsCreate.targets;
  expect(Date.parse(target.expiresAt)).toBe(soon);
  expect(target.url).toContain(`expires=${soon}`);
});
