import { describe, expect, test } from "vitest";
import { plannedCost } from "../../core/budget.ts";
import type { Ports } from "../../core/ports.ts";
import { mintKey } from "../../core/tenant.ts";
import type { TenantLimitsChange } from "../../core/tenant-limits.ts";
import { grantOf } from "../core/new-key.ts";
import { runCreate, runInput, startForTest, type TestGateway } from "./start.ts";

const caption = plannedCost([{ name: "CAPTION", input: {} }]); // 160
const now = { ms: Date.UTC(2026, 10, 25, 12) };
const frozen = (ports: Ports): Ports => ({ ...ports, clock: { now: () => now.ms } });
const start = (work = {}) => startForTest({ work }, frozen);
const setLimits = `mutation Set($input: TenantLimitsSetInput!) {
  tenantLimitsSet(input: $input) { tenant { id limits { unitsPerSecond burstUnits unitsPerMonth unfinishedRuns
    retentionDays modelsAllowed webhookHosts } } userErrors { path code message fix } } }`;
const unlimited = {
  ...{ unitsPerSecond: null, burstUnits: null, unitsPerMonth: null, unfinishedRuns: null },
  ...{ retentionDays: null, modelsAllowed: null, webhookHosts: null },
};

async function operatorOf({ ports, secret }: TestGateway): Promise<string> {
  const { text, key } = mintKey(grantOf("bob", { scopes: ["OPERATOR"] }), secret, 0);
  await ports.tenants.createKey(key);
  return `Bearer ${text}`;
}

async function create(gateway: TestGateway, parts: object = {}, as?: string) {
  const query = runCreate.replace("message fix", "message fix retryAfterMs");
  const input = await runInput(parts);
  return (await gateway.ask(query, { input }, as)).body.data.runCreate;
}

async function limited(change: TenantLimitsChange, work = {}): Promise<TestGateway> {
  const gateway = await start(work);
  await gateway.ports.tenants.setLimits("ada", change);
  return gateway;
}

describe("operators", () => {
  test("set limits, keep those that they do not name, and clear them with null", async () => {
    const gateway = await start();
    const operator = await operatorOf(gateway);
    const set = async (change: object) =>
      (await gateway.ask(setLimits, { input: { tenantId: "ada", ...change } }, operator)).body.data
        .tenantLimitsSet;
    const first = { unitsPerMonth: 5_000, webhookHosts: ["*.example.com"] };
    expect(await set(first)).toEqual({
      tenant: { id: "ada", limits: { ...unlimited, ...first } },
      userErrors: [],
    });
    const second = await set({ unitsPerMonth: null, retentionDays: 30 });
    expect(second.tenant.limits).toEqual({
      ...unlimited,
      ...{ retentionDays: 30, webhookHosts: ["*.example.com"] },
    });
    const own = await gateway.ask("{ viewer { tenant { limits { retentionDays } } } }");
    expect(own.body.data.viewer.tenant.limits).toEqual({ retentionDays: 30 });
    const other = await gateway.ask(
      "{ viewer { tenant { limits { retentionDays } } } }",
      {},
      `Bearer ${gateway.keys.bob}`,
    );
    expect(other.body.data.viewer.tenant.limits).toEqual({ retentionDays: null });
  });

  test("read all mistakes at once, and nothing is set", async () => {
    const gateway = await start();
    const operator = await operatorOf(gateway);
    const wrong = {
      ...{ unitsPerMonth: 0, burstUnits: -1, retentionDays: 3_651 },
      ...{ modelsAllowed: [" "], webhookHosts: ["a.test", "https://b.test", "*.", "A.test"] },
    };
    const { body } = await gateway.ask(
      setLimits,
      { input: { tenantId: "ada", unitsPerSecond: 3, ...wrong } },
      operator,
    );
    const { tenant, userErrors } = body.data.tenantLimitsSet;
    expect(tenant).toBeNull();
    expect(userErrors.map(({ path }: { path: string[] }) => path.join("."))).toEqual([
      ...["input.burstUnits", "input.unitsPerMonth", "input.retentionDays"],
      ...["input.modelsAllowed.0", "input.webhookHosts.1", "input.webhookHosts.2"],
      "input.webhookHosts.3",
    ]);
    expect((await gateway.ports.tenants.get("ada"))?.limits).toEqual(unlimited);
  });

  test("are told that a tenant is missing; nobody else may set limits", async () => {
    const gateway = await start();
    const input = { tenantId: "ten_none", unitsPerMonth: 1 };
    const missing = await gateway.ask(setLimits, { input }, await operatorOf(gateway));
    expect(missing.body.data.tenantLimitsSet.userErrors).toMatchObject([
      { code: "NOT_FOUND", path: ["input", "tenantId"] },
    ]);
    const own = await gateway.ask(setLimits, { input: { ...input, tenantId: "ada" } });
    expect(own.body.errors[0].extensions.code).toBe("FORBIDDEN");
  });
});

describe("a tenant's own limit goes before the service's setting, and no other tenant's", () => {
  test("units per second, in the viewer's rate limit and in the refusal too", async () => {
    const gateway = await limited({ unitsPerSecond: 10, burstUnits: 200 }, { unitsPerSecond: 999 });
    const viewer = await gateway.ask("{ viewer { rateLimit { capacity restorePerSecond } } }");
    expect(viewer.body.data.viewer.rateLimit).toEqual({ capacity: 200, restorePerSecond: 10 });
    expect((await create(gateway)).userErrors).toEqual([]);
    const [refused] = (await create(gateway)).userErrors;
    const waitMs = (2 * caption - 200) * 100;
    expect(refused).toMatchObject({ code: "RATE_LIMITED", retryAfterMs: waitMs });
    expect(refused.message).toContain("the tenant's limit unitsPerSecond");
    expect(refused.fix).toContain(new Date(now.ms + waitMs).toISOString());
    const bob = `Bearer ${gateway.keys.bob}`;
    for (const _ of [1, 2]) expect((await create(gateway, {}, bob)).userErrors).toEqual([]);
  });

  test("units per second alone are drawn from a bucket of the usual size", async () => {
    const gateway = await limited({ unitsPerSecond: 10 });
    const viewer = await gateway.ask("{ viewer { rateLimit { capacity restorePerSecond } } }");
    expect(viewer.body.data.viewer.rateLimit).toEqual({ capacity: 20_000, restorePerSecond: 10 });
  });

  test("units per month", async () => {
    const gateway = await limited({ unitsPerMonth: caption - 1 }, { unitsPerMonth: 1_000_000 });
    const [refused] = (await create(gateway)).userErrors;
    const end = Date.UTC(2026, 11, 1);
    expect(refused).toMatchObject({ code: "QUOTA_EXCEEDED", retryAfterMs: end - now.ms });
    expect(refused.message).toContain("the tenant's limit unitsPerMonth");
    expect(refused.fix).toContain("2026-12-01T00:00:00.000Z");
    await gateway.ports.tenants.setLimits("ada", { unitsPerMonth: caption });
    expect((await create(gateway)).userErrors).toEqual([]);
    const bob = await create(gateway, {}, `Bearer ${gateway.keys.bob}`);
    expect(bob.userErrors).toEqual([]);
  });

  test("unfinished runs, more or fewer than the service's", async () => {
    const gateway = await limited({ unfinishedRuns: 2 }, { unfinishedRuns: 1 });
    for (const _ of [1, 2]) expect((await create(gateway)).userErrors).toEqual([]);
    const [refused] = (await create(gateway)).userErrors;
    expect(refused.code).toBe("QUEUE_FULL");
    expect(refused.message).toContain("the tenant's limit unfinishedRuns");
    const bob = `Bearer ${gateway.keys.bob}`;
    expect((await create(gateway, {}, bob)).userErrors).toEqual([]);
    const [ofService] = (await create(gateway, {}, bob)).userErrors;
    expect(ofService.message).toContain("the service's limit unfinishedRuns");
  });
});

describe("models allowed", () => {
  const refusedBy = async (modelsAllowed: readonly string[], parts: object = {}) => {
    const gateway = await limited({ modelsAllowed });
    const { run, userErrors } = await create(gateway, parts);
    return { run, error: userErrors[0] ?? null, gateway };
  };

  test("an id allows its revisions, with and without being named; another id does not", async () => {
    expect((await refusedBy(["florence-2-nano"])).error).toBeNull();
    expect((await refusedBy(["florence-2-nano"], { model: "florence-2-nano" })).error).toBeNull();
    for (const allowed of [["florence-2-large"], []]) {
      const { run, error } = await refusedBy(allowed);
      expect(run).toBeNull();
      expect(error).toMatchObject({ code: "FORBIDDEN", path: ["input", "model"] });
      expect(error.message).toContain("the tenant's limit modelsAllowed");
    }
  });

  test("an alias is no way round: a run by a name that may move keeps the allowed revision", async () => {
    const gateway = await limited({ modelsAllowed: ["florence-2-nano"] });
    await gateway.ports.registry.setAlias({ name: "fast", target: "florence-2-nano" });
    const { run } = await create(gateway, { model: "fast" });
    const stored = await gateway.ports.runs.get("ada", run.id);
    expect(stored?.model).toMatch(/^florence-2-nano@/);
    await gateway.ports.tenants.setLimits("ada", { modelsAllowed: ["fast"] });
    const second = await create(gateway, { model: "fast" });
    expect((await gateway.ports.runs.get("ada", second.run.id))?.model).toBe("fast");
  });

  test("a model that is not there is still answered as not there", async () => {
    const { error } = await refusedBy(["florence-2-nano"], { model: "none" });
    expect(error).toMatchObject({ code: "MODEL_NOT_FOUND" });
  });
});

describe("webhook hosts", () => {
  const endpoint = `mutation Create($input: WebhookEndpointCreateInput!) {
    webhookEndpointCreate(input: $input) { endpoint { id } userErrors { path code message fix } } }`;
  const secret = `whsec_${Buffer.alloc(24, 7).toString("base64")}`;

  test.each([
    ["https://hooks.example.com/x", true],
    ["https://a.b.wild.test/x", true],
    ["https://HOOKS.example.com:8443/x", true],
    ["https://hooks.example.com./x", true],
    ["https://wild.test/x", false],
    ["https://evilwild.test/x", false],
    ["https://hooks.example.com.evil.test/x", false],
    ["https://other.example.com/x", false],
  ])("%s: %s, for an endpoint, its change and a run's own webhook", async (url, isAllowed) => {
    const gateway = await limited({ webhookHosts: ["hooks.example.com", "*.wild.test"] });
    const made = await gateway.ask(endpoint, { input: { url } });
    const faults = [made.body.data.webhookEndpointCreate.userErrors[0] ?? null];
    const known = await gateway.ask(endpoint, { input: { url: "https://hooks.example.com" } });
    const endpointId = known.body.data.webhookEndpointCreate.endpoint.id;
    const changed = await gateway.ask(
      `mutation Update($input: WebhookEndpointUpdateInput!) {
        webhookEndpointUpdate(input: $input) { userErrors { path code message } } }`,
      { input: { endpointId, url } },
    );
    faults.push(changed.body.data.webhookEndpointUpdate.userErrors[0] ?? null);
    faults.push((await create(gateway, { webhook: { url, secret } })).userErrors[0] ?? null);
    for (const fault of faults) {
      if (isAllowed) expect(fault).toBeNull();
      else expect(fault?.message).toContain("the tenant's limit webhookHosts");
    }
    const other = await gateway.ask(endpoint, { input: { url } }, `Bearer ${gateway.keys.bob}`);
    expect(other.body.data.webhookEndpointCreate.userErrors).toEqual([]);
  });
});
