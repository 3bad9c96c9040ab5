import {
  getNamedType,
  isInterfaceType,
  isListType,
  isNonNullType,
  isObjectType,
  parse,
} from "graphql";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { operationCost } from "../../api/operation-cost.ts";
import { buildGatewaySchema } from "../../api/schema.ts";
import { limits } from "../../core/limits.ts";
import { send, startGateway, type TestGateway } from "./start.ts";

const schema = buildGatewaySchema();
const costOf = (query: string, variables: Record<string, unknown> = {}) =>
  operationCost(schema, { document: parse(query), variables });
const span = `(from: "2016-01-01T00:00:00Z", to: "2026-01-01T00:00:00Z")`;
const usages = (count: number) =>
  Array.from({ length: count }, (_, i) => `u${i}: usage${span} { cost }`).join(" ");

describe("the cost of an operation", () => {
  test.each<[string, number, Record<string, unknown>?]>([
    ["{ __schema { types { name } } }", 0],
    ["{ viewer { keyId } }", 0],
    ["{ run(id: 1) { id status tasks { name } } }", 1],
    ["{ runs { edges { node { id } } pageInfo { hasNextPage } } }", 21],
    ["{ runs(first: 100) { edges { node { id } } } }", 101],
    ["{ a: runs(first: 100) { edges { cursor } } b: runs(first: 7) { edges { cursor } } }", 109],
    ["{ runs(first: 100) { pageInfo { hasNextPage } } }", 1],
    ["query ($n: Int!) { runs(first: $n) { edges { cursor } } }", 41, { n: 40 }],
    ["query ($n: Int = 30) { runs(first: $n) { edges { cursor } } }", 31],
    ["query ($n: Int! = 30) { runs(first: $n) { edges { cursor } } }", 4, { n: 3 }],
    ["{ runs(first: 1000000) { edges { cursor } } }", 101],
    ["{ runs(first: -5) { edges { cursor } } }", 1],
    [`{ viewer { tenant { ${usages(3)} } } }`, 301],
    [`{ tenants(first: 5) { edges { node { ${usages(1)} apiKeys { id } } } } }`, 1 + 5 * 121],
    [`{ ...A ...A } fragment A on Query { a: usage${span} { cost } }`, 200],
    [`{ runs(first: 9) { ...P } } fragment P on RunConnection { edges { cursor } }`, 10],
    [
      `{ a: runs(first: 9) { ...P } b: runs(first: 2) { ...P } } fragment P on RunConnection { edges { cursor } }`,
      13,
    ],
    [`{ ... on Query { ... { usage${span} @skip(if: true) { cost } } } }`, 100],
    [`mutation { webhookRecover(input: { endpointId: 1, since: 0 }) { recovered } }`, 1_000],
  ])("%s", (query, cost, variables = {}) => {
    expect(costOf(query, variables)).toBe(cost);
  });

  test("fragments that double are walked once", () => {
    const doubled = Array.from(
      { length: 40 },
      (_, i) => `fragment F${i} on Query { ...F${i + 1} ...F${i + 1} }`,
    );
    const last = `fragment F40 on Query { runs(first: 1) { edges { cursor } } }`;
    expect(costOf(`{ ...F0 } ${doubled.join(" ")} ${last}`)).toBe(2 ** 41);
  });

  test("every root field has a cost, every page sizes its edges, and introspection shows both", () => {
    for (const root of [schema.getQueryType(), schema.getMutationType()])
      for (const field of Object.values(root?.getFields() ?? {})) {
        if (field.name === "viewer") continue; // reads nothing itself
        expect(field.description, field.name).toMatch(/ Cost: \d+\.$/);
        const type = getNamedType(field.type);
        if (!type.name.endsWith("Connection")) continue;
        const query = `{ ${field.name}(first: 10) { edges { cursor } } }`;
        expect(costOf(query), field.name).toBe(11);
      }
  });

  test("a field with arguments or a list of its own below a root has a cost, or is a part of its object", () => {
    const parts = ["Model", "Run", "RunTask", "WebhookDelivery", "WebhookEndpoint", "ApiKey"];
    const free = Object.values(schema.getTypeMap())
      .filter((type) => isObjectType(type) || isInterfaceType(type))
      .filter(({ name }) => ["Tenant", "Viewer"].includes(name) && !parts.includes(name))
      .flatMap((type) => Object.values(type.getFields()).map((field) => ({ type, field })))
      .filter(({ field }) => {
        const bare = isNonNullType(field.type) ? field.type.ofType : field.type;
        return field.args.length > 0 || (isListType(bare) && isObjectType(getNamedType(bare)));
      });
    expect(free.length).toBeGreaterThan(1);
    for (const { type, field } of free)
      expect(field.description, `${type.name}.${field.name}`).toMatch(/ Cost: \d+\.$/);
  });
});

describe("an operation that costs too much", () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startGateway();
  });
  afterAll(() => gateway.close());

  test("is refused before it runs, with its cost and the bound", async () => {
    const { status, body } = await gateway.ask(`{ viewer { tenant { ${usages(30)} } } }`);
    expect(status).toBe(400);
    expect(body.data).toBeUndefined();
    expect(body.errors).toHaveLength(1);
    const [{ message, extensions }] = body.errors;
    const { costMax } = limits.request;
    expect(extensions).toEqual({ code: "COST_EXCEEDED", cost: 3_001, costMax });
    expect(message).toContain("costs 3001; at most 2500");
  });

  test("is refused whatever its variables say, and taken once it is smaller", async () => {
    const query = `query ($n: Int!) { tenants(first: $n) { edges { node { ${usages(1)} } } } }`;
    const refused = await gateway.ask(query, { n: 50 });
    expect(refused.body.errors[0].extensions.code).toBe("COST_EXCEEDED");
    const taken = await gateway.ask(query, { n: 5 });
    expect(taken.body.errors[0].extensions.code).toBe("FORBIDDEN"); // its key is no operator's
    const own = await gateway.ask(`{ viewer { tenant { ${usages(20)} } } }`);
    expect(own.body.errors).toBeUndefined();
    expect(own.body.data.viewer.tenant.u19).toEqual({ cost: 0 });
  });

  test("is refused as a mutation and changes nothing", async () => {
    const recover = `webhookRecover(input: { endpointId: "x", since: "2026-01-01T00:00:00Z" }) { recovered }`;
    const { body } = await gateway.ask(`mutation { a: ${recover} b: ${recover} c: ${recover} }`);
    expect(body.errors[0].extensions).toMatchObject({ code: "COST_EXCEEDED", cost: 3_000 });
  });

  test("five full pages of runs are within the bound", async () => {
    const page = "runs(first: 100) { edges { node { id status tasks { name } } } }";
    const pages = Array.from({ length: 5 }, (_, i) => `p${i}: ${page}`).join(" ");
    expect((await gateway.ask(`{ ${pages} }`)).body.errors).toBeUndefined();
    const introspection = await send(`${gateway.url}/graphql`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        authorization: `Bearer ${gateway.keys.ada}`,
      },
      body: JSON.stringify({
        query: `{ __type(name: "Query") { fields { name description } } }`,
      }),
    });
    const fields: { name: string; description: string }[] = introspection.body.data.__type.fields;
    expect(fields.find(({ name }) => name === "usage")?.description).toContain("Cost: 100.");
  });
});
