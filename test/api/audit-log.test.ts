import { afterAll, beforeAll, expect, test } from "vitest";
import { auditEntries, jsonLine } from "../../cli/audit-lines.ts";
import { anyEntry } from "../../core/audit.ts";
import { mintKey, scopes, tenantScopes } from "../../core/tenant.ts";
import { grantOf } from "../core/new-key.ts";
import { startGateway, type TestGateway } from "./start.ts";

const pepper = "pepper";
let gateway: TestGateway;
let operator: string;
let keyId: string;
beforeAll(async () => {
  gateway = await startGateway({ secret: pepper });
  const minted = mintKey(grantOf("ada", { scopes: ["OPERATOR"] }), pepper, 0);
  await gateway.ports.tenants.createKey(minted.key);
  operator = `Bearer ${minted.text}`;
  keyId = minted.key.id;
  for (let i = 0; i < 5; i += 1)
    await gateway.ask(
      `mutation { apiKeyCreate(input: { name: "key ${i}", tenantId: "bob", scopes: [RUNS_READ] }) { apiKey { id } } }`,
      {},
      operator,
    );
  await gateway.ask(
    `mutation { tenantDisable(input: { tenantId: "bob" }) { tenant { id } } }`,
    {},
    operator,
  );
});
afterAll(() => gateway.close());

const fields = `edges { cursor node { id at action actor { kind keyId tenantId address }
  subject { type id tenantId } details requestId } } pageInfo { hasNextPage endCursor }`;

async function ask(args = "") {
  const { body } = await gateway.ask(
    `{ auditLog${args && `(${args})`} { ${fields} } }`,
    {},
    operator,
  );
  expect(body.errors).toBeUndefined();
  return body.data.auditLog;
}

test("an operator reads who did what, from where and in which request, newest first", async () => {
  const { edges } = await ask();
  expect(edges).toHaveLength(6);
  const [disabled, created] = edges.map(({ node }: { node: object }) => node);
  const actor = { kind: "KEY", keyId, tenantId: "ada", address: "127.0.0.1" };
  expect(disabled).toMatchObject({
    action: "tenant.disable",
    actor,
    subject: { type: "Tenant", id: "bob", tenantId: "bob" },
    requestId: expect.stringMatching(/^req_/),
    at: expect.stringMatching(/Z$/),
  });
  expect(created).toMatchObject({
    action: "apiKey.create",
    subject: { type: "ApiKey", tenantId: "bob" },
    details: { name: "key 4", scopes: ["RUNS_READ"], expiresAt: null },
  });
});

test("pages go on behind a cursor until the end", async () => {
  const names: string[] = [];
  for (let after: string | null = null; ; ) {
    const page: Awaited<ReturnType<typeof ask>> = await ask(
      `first: 2, filter: { action: "apiKey.create" }${after ? `, after: "${after}"` : ""}`,
    );
    names.push(
      ...page.edges.map(({ node }: { node: { details: { name: string } } }) => node.details.name),
    );
    after = page.pageInfo.endCursor;
    if (!page.pageInfo.hasNextPage) break;
  }
  expect(names).toEqual(["key 4", "key 3", "key 2", "key 1", "key 0"]);
});

test.each([
  [`filter: { subjectId: "bob" }`, 1],
  [`filter: { tenantId: "bob", action: "tenant.disable" }`, 1],
  [`filter: { tenantId: "ada" }`, 0],
  [`filter: { keyId: "nobody" }`, 0],
  [`filter: { from: "2999-01-01T00:00:00Z" }`, 0],
  [`filter: { to: "2999-01-01T00:00:00Z" }`, 6],
])("%s finds %i", async (args, count) => {
  expect((await ask(args)).edges).toHaveLength(count);
});

test.each([
  "first: 0",
  `after: "bad"`,
  `filter: { action: "tenant.paint" }`,
  `filter: { from: "2026-02-01T00:00:00Z", to: "2026-01-01T00:00:00Z" }`,
])("%s is INVALID", async (args) => {
  const { body } = await gateway.ask(`{ auditLog(${args}) { ${fields} } }`, {}, operator);
  expect(body.errors[0].extensions.code).toBe("INVALID");
});

test("no other scope reads it", async () => {
  const { text, key } = mintKey(grantOf("ada", { scopes: tenantScopes }), pepper, 0);
  expect(scopes.filter((scope) => !key.scopes.includes(scope))).toEqual(["OPERATOR"]);
  await gateway.ports.tenants.createKey(key);
  const { body } = await gateway.ask(`{ auditLog { ${fields} } }`, {}, `Bearer ${text}`);
  expect(body.errors[0].extensions.code).toBe("FORBIDDEN");
  expect(body.data).toBeNull();
});

test("an export has each entry once as a line of JSON, over many pages", async () => {
  const entries = Array.from({ length: 1_100 }, (_, i) => ({
    id: `aud_${String(i).padStart(8, "0")}`,
    at: 1_000 + i,
    action: "modelAlias.set" as const,
    actor: { kind: "COMMAND_LINE" as const, keyId: null, tenantId: null, address: null },
    subject: { type: "ModelAlias", id: "prod", tenantId: null },
    details: { target: "two\nlines" },
    requestId: null,
  }));
  for (const entry of entries) await gateway.ports.audit.append(entry);
  const lines: string[] = [];
  const filter = { ...anyEntry, action: "modelAlias.set" } as const;
  for await (const entry of auditEntries(gateway.ports.audit, filter)) lines.push(jsonLine(entry));
  const read = lines.map((line) => JSON.parse(line));
  expect(read.map(({ id }) => id)).toEqual(entries.map(({ id }) => id).toReversed());
  expect(read[0]).toEqual({ ...entries.at(-1), at: "1970-01-01T00:00:02.099Z" });
  expect(lines.every((line) => line.indexOf("\n") === line.length - 1)).toBe(true);
});
