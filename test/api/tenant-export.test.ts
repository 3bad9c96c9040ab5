import { afterAll, beforeAll, expect, test } from "vitest";
import { anyEntry, auditEntry, commandLine } from "../../core/audit.ts";
import { mintKey, type Scope, scopes, tenantScopes } from "../../core/tenant.ts";
import { exportKinds } from "../../core/tenant-export.ts";
import { answered } from "../core/answered.ts";
import { grantOf } from "../core/new-key.ts";
import { newDelivery, newEvent } from "../core/new-webhook.ts";
import { picture } from "../picture.ts";
import { runCreate, runInput, startGateway, type TestGateway } from "./start.ts";

const pepper = "pepper";
const runCount = 7;
let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway({ secret: pepper });
  const { runs, webhooks, audit } = gateway.ports;
  const made = await gateway.ask(
    `mutation { webhookEndpointCreate(input: { url: "https://example.com/ada" }) { endpoint { id } } }`,
  );
  const endpointId = made.body.data.webhookEndpointCreate.endpoint.id;
  const secret = `whsec_${Buffer.alloc(24, 7).toString("base64")}`;
  for (let i = 0; i < runCount; i += 1) {
    const input = await runInput({
      metadata: { i },
      webhook: { url: "https://example.com/run", secret },
    });
    const { id } = (await gateway.ask(runCreate, { input })).body.data.runCreate.run;
    const run = await runs.get("ada", id);
    if (!run) throw new Error("The run was made.");
    const tasks = run.tasks.map((task) => ({ ...task, outcome: answered(5) }));
    const finishedAt = run.createdAt + 1;
    await runs.replace({ ...run, version: 2, status: "SUCCEEDED", finishedAt, tasks });
    const event = newEvent(id.slice(0), finishedAt, "ada");
    const delivery = newDelivery({ tenantId: "ada", event }, endpointId);
    if (!(await webhooks.fanOut(event, [{ ...delivery, id: `whd_${i}` }])))
      throw new Error("The run left an event.");
  }
  await gateway.ask(
    runCreate,
    { input: await runInput({ metadata: "of bob" }) },
    `Bearer ${gateway.keys.bob}`,
  );
  const stranger = { ...commandLine, kind: "KEY", keyId: "strange", tenantId: "ten_op" } as const;
  const by = { clock: gateway.ports.clock, by: { ...stranger, address: "203.0.113.7" } };
  const subject = { type: "Tenant", id: "ada", tenantId: "ada" };
  await audit.append(auditEntry(by, "tenant.limit", { subject }));
});
afterAll(() => gateway.close());

async function keyOf(tenantId: string, granted: readonly Scope[]): Promise<string> {
  const { text, key } = mintKey(grantOf(tenantId, { scopes: granted }), pepper, 0);
  await gateway.ports.tenants.createKey(key);
  return `Bearer ${text}`;
}

async function page(input: object, authorization?: string) {
  const { body } = await gateway.ask(
    `mutation ($input: TenantExportInput!) { tenantExport(input: $input) {
      records { kind data } pageInfo { hasNextPage endCursor } userErrors { code path } } }`,
    { input },
    authorization,
  );
  return body.data?.tenantExport ?? body;
}

async function all(input: object, authorization?: string) {
  const records: { kind: string; data: Record<string, unknown> }[] = [];
  for (let after: string | null = null; ; ) {
    const { records: found, pageInfo, userErrors } = await page({ ...input, after }, authorization);
    expect(userErrors).toEqual([]);
    records.push(...found);
    after = pageInfo.endCursor;
    if (!pageInfo.hasNextPage) return records;
    expect(after).not.toBeNull();
  }
}

const countsOf = (records: readonly { kind: string }[]) =>
  Object.fromEntries(
    exportKinds.map((kind) => [kind, records.filter((each) => each.kind === kind).length]),
  );

test.each([1, 3, 100])(
  "in pages of %i a tenant gets each record of its own once",
  async (first) => {
    const records = await all({ first });
    const entries = await gateway.ports.audit.list({
      ...{ ...anyEntry, tenantId: "ada", first: 100, after: null },
    });
    expect(countsOf(records)).toEqual({
      ...{ tenant: 1, webhookEndpoint: 1, usage: 1, run: runCount, image: 1 },
      apiKey: (await gateway.ports.tenants.keys("ada")).length,
      ...{ charge: runCount, delivery: runCount, auditEntry: entries.entries.length },
    });
    expect(new Set(records.map((record) => JSON.stringify(record))).size).toBe(records.length);
    const kinds = records.map(({ kind }) => kind);
    expect([...new Set(kinds)]).toEqual(exportKinds);
    expect(records.find(({ kind }) => kind === "usage")?.data).toMatchObject({ runs: runCount });
    const run = records.find(({ kind }) => kind === "run")?.data;
    expect(run).toMatchObject({ tenantId: "ada", webhook: { url: "https://example.com/run" } });
  },
);

test("no record holds a secret, another tenant's data, or who the strangers are that acted on it", async () => {
  const text = JSON.stringify(await all({ first: 100 }));
  expect(text).not.toMatch(/secretHash|sealed|whsec_|vdr_live_/);
  expect(text).not.toContain("of bob");
  expect(text).not.toMatch(/strange|ten_op|203\.0\.113\.7/);
  const operator = await keyOf("bob", scopes);
  const told = JSON.stringify(await all({ tenantId: "ada", first: 100 }, operator));
  expect(told).toContain("203.0.113.7");
  expect(told).not.toMatch(/secretHash|sealed|whsec_|vdr_live_/);
});

test("each export leaves one entry, whatever the number of its pages", async () => {
  const entries = async () => {
    const filter = { ...anyEntry, tenantId: "ada", action: "tenant.export" } as const;
    return (await gateway.ports.audit.list({ ...filter, first: 100, after: null })).entries.length;
  };
  const before = await entries();
  await all({ first: 2 });
  expect(await entries()).toBe(before + 1);
});

test("another's tenant is as one that never was; operators may name any", async () => {
  const missing = { userErrors: [{ code: "NOT_FOUND", path: ["input", "tenantId"] }] };
  const own = await keyOf("ada", tenantScopes);
  expect(await page({ tenantId: "bob" }, own)).toMatchObject(missing);
  expect(await page({ tenantId: "never" }, own)).toMatchObject(missing);
  const operator = await keyOf("ada", scopes);
  expect(countsOf(await all({ tenantId: "bob" }, operator))).toMatchObject({ tenant: 1, run: 1 });
});

test.each(["RUNS_READ", "WEBHOOKS_ADMIN", "KEYS_ADMIN", "USAGE_READ"] as const)(
  "without %s it is refused, with OPERATOR too",
  async (scope) => {
    const authorization = await keyOf(
      "ada",
      scopes.filter((each) => each !== scope),
    );
    const { errors } = await page({}, authorization);
    expect(errors[0].extensions).toMatchObject({
      code: "FORBIDDEN",
      fix: expect.stringContaining(scope),
    });
  },
);

test("a cursor that was not given for this tenant is refused", async () => {
  const { endCursor } = (await page({ first: 1 })).pageInfo;
  const forged = `${Buffer.from('["run",null]').toString("base64url")}.${endCursor.split(".")[1]}`;
  const refused = { userErrors: [{ code: "INVALID", path: ["input", "after"] }] };
  expect(await page({ first: 1, after: forged })).toMatchObject(refused);
  const operator = await keyOf("ada", scopes);
  expect(await page({ tenantId: "bob", after: endCursor }, operator)).toMatchObject(refused);
  for (const first of [0, 101])
    expect(await page({ first })).toMatchObject({ userErrors: [{ code: "INVALID" }] });
});

test("a page of long records is cut, and the next goes on behind it", async () => {
  const { runs, tenants } = gateway.ports;
  await tenants.create({ id: "long", name: "long", createdAt: 0, disabledAt: null });
  const one = (await runs.list("ada", { first: 1, after: null, status: null })).runs[0];
  if (!one) throw new Error("There is a run.");
  for (let i = 0; i < 5; i += 1)
    await runs.create(
      { ...one, id: `run_${i}`, tenantId: "long", metadata: "x".repeat(900_000) },
      null,
    );
  const operator = await keyOf("ada", scopes);
  expect((await page({ tenantId: "long" }, operator)).records.length).toBeLessThan(5);
  expect(countsOf(await all({ tenantId: "long" }, operator)).run).toBe(5);
});

test("an image's file comes in parts, for its tenant and for operators", async () => {
  const ask = async (variables: object, authorization?: string) =>
    (
      await gateway.ask(
        `query ($id: ID!, $offset: Int!, $tenantId: ID) {
          imageBytes(id: $id, offset: $offset, tenantId: $tenantId) { base64 byteSize nextOffset } }`,
        { offset: 0, ...variables },
        authorization,
      )
    ).body;
  const [image] = await gateway.ports.images.list("ada", { first: 1, after: null });
  const id = image?.id ?? "";
  const file = await picture();
  const whole = (await ask({ id })).data.imageBytes;
  expect(whole).toEqual({
    base64: file.toString("base64"),
    byteSize: file.length,
    nextOffset: null,
  });
  const rest = (await ask({ id, offset: 10 })).data.imageBytes;
  expect(rest.base64).toBe(file.subarray(10).toString("base64"));
  expect((await ask({ id, offset: file.length })).errors[0].extensions.code).toBe("INVALID");
  const bob = `Bearer ${gateway.keys.bob}`;
  expect((await ask({ id }, bob)).data.imageBytes).toBeNull();
  expect((await ask({ id, tenantId: "ada" }, bob)).data.imageBytes).toBeNull();
  const operator = await keyOf("bob", scopes);
  expect((await ask({ id, tenantId: "ada" }, operator)).data.imageBytes).toEqual(whole);
  const large = { ...image, id: "img_large", sha256: "0".repeat(64) } as NonNullable<typeof image>;
  const bytes = Buffer.alloc(3_000_001, 1);
  await gateway.ports.images.put("ada", large, bytes);
  const first = (await ask({ id: "img_large" })).data.imageBytes;
  expect(first.nextOffset).toBe(3_000_000);
  const last = (await ask({ id: "img_large", offset: first.nextOffset })).data.imageBytes;
  expect(last).toMatchObject({ base64: "AQ==", nextOffset: null });
});
