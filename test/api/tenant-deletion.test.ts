import { beforeEach, expect, onTestFinished, test } from "vitest";
import { eraseDeletedTenants } from "../../core/delete-tenant.ts";
import { localTenantId, mintKey, scopes } from "../../core/tenant.ts";
import { grantOf } from "../core/new-key.ts";
import { runCreate, runInput, startGateway, type TestGateway } from "./start.ts";

let gateway: TestGateway;
let operator: string;
beforeEach(async () => {
  gateway = await startGateway();
  onTestFinished(() => gateway.close());
  const { text, key } = mintKey(grantOf("ada", { scopes }), gateway.secret, 0);
  await gateway.ports.tenants.createKey(key);
  operator = `Bearer ${text}`;
});

const remove = async (tenantId: string) =>
  (
    await gateway.ask(
      `mutation { tenantDelete(input: { tenantId: "${tenantId}" }) {
        tenant { id name disabledAt deletion { startedAt finishedAt runs images apiKeys } }
        userErrors { path code } } }`,
      {},
      operator,
    )
  ).body.data.tenantDelete;

test("a tenant's keys stop at once, its data goes, and the report stays", async () => {
  const asBob = `Bearer ${gateway.keys.bob}`;
  const made = await gateway.ask(runCreate, { input: await runInput() }, asBob);
  expect(made.body.data.runCreate.userErrors).toEqual([]);
  const begun = await remove("bob");
  expect(begun).toMatchObject({
    tenant: { id: "bob", deletion: { finishedAt: null, runs: 0 } },
    userErrors: [],
  });
  expect((await gateway.ask("{ viewer { keyId } }", {}, asBob)).status).toBe(401);
  await eraseDeletedTenants(gateway.ports, { pause: async () => true });
  const after = await remove("bob");
  expect(after.tenant).toMatchObject({
    name: "",
    disabledAt: begun.tenant.disabledAt,
    deletion: { startedAt: begun.tenant.deletion.startedAt, runs: 1, images: 1, apiKeys: 1 },
  });
  expect(after.tenant.deletion.finishedAt).not.toBeNull();
  expect((await gateway.ask("{ viewer { keyId } }", {}, asBob)).status).toBe(401);
});

test("a tenant that is being deleted gets neither its keys back nor new ones", async () => {
  await remove("bob");
  const { body } = await gateway.ask(
    `mutation {
      tenantEnable(input: { tenantId: "bob" }) { userErrors { code path } }
      apiKeyCreate(input: { tenantId: "bob", name: "again" }) { userErrors { code path } } }`,
    {},
    operator,
  );
  expect(body.data).toEqual({
    tenantEnable: { userErrors: [{ code: "INVALID", path: ["input", "tenantId"] }] },
    apiKeyCreate: { userErrors: [{ code: "NOT_FOUND", path: ["input", "tenantId"] }] },
  });
});

test("the caller's own tenant, the local one and one that is not there are refused", async () => {
  const local = { id: localTenantId, name: "local", createdAt: 0, disabledAt: null };
  await gateway.ports.tenants.create(local);
  expect(await remove(localTenantId)).toEqual({
    tenant: null,
    userErrors: [{ path: ["input", "tenantId"], code: "INVALID" }],
  });
  expect(await remove("ada")).toEqual({
    tenant: null,
    userErrors: [{ path: ["input", "tenantId"], code: "INVALID" }],
  });
  expect(await remove("nobody")).toEqual({
    tenant: null,
    userErrors: [{ path: ["input", "tenantId"], code: "NOT_FOUND" }],
  });
});
