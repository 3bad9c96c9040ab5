import { getIntrospectionQuery } from "graphql";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCreate, startGateway, type TestGateway } from "./start.ts";

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.close());

const times = (count: number, of: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => of(i)).join(" ");

/** Each fragment spreads the next twice: 2^20 times in all. */
const fragmentBomb = `{ ...F0 } ${times(20, (i) => `fragment F${i} on Query { ...F${i + 1} ...F${i + 1} }`)} fragment F20 on Query { a: __typename }`;

test.each([
  ["101 aliases", `{ ${times(101, (i) => `a${i}: __typename`)} }`, "aliases"],
  ["31 aliases below the root", `{ viewer { ${times(31, (i) => `a${i}: keyId`)} } }`, "31 aliases"],
  [
    "101 aliases of a mutation",
    `mutation { ${times(101, (i) => `a${i}: runCancel(input: { runId: "x" }) { replayed: __typename }`)} }`,
    "aliases",
  ],
  [
    "6 root fields",
    "{ a: __typename b: __typename c: __typename d: __typename e: __typename f: __typename }",
    "6 root fields",
  ],
  [
    "6 root fields in fragments",
    `{ ${times(3, () => "...F")} } fragment F on Query { a: __typename b: __typename }`,
    "6 root fields",
  ],
  [
    "13 levels",
    `{ runs { edges { node { ... on Run { ${"x { ".repeat(10)} y ${"} ".repeat(10)} } } } } }`,
    "14 levels",
  ],
  ["21 directives", `{ __typename ${times(21, () => "@include(if: true)")} }`, "21 directives"],
  ["500 times the same field and more", `{ ${"__typename ".repeat(2_100)} }`, "2000 tokens"],
  ["fragments that double", fragmentBomb, "1048576 aliases"],
  [
    "fragments in a circle",
    "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
    "within itself",
  ],
  [
    "introspection in a circle",
    "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }",
    "introspection depth",
  ],
])("an operation is refused before it runs: %s", async (_what, query, reason) => {
  const started = performance.now();
  const { status, body } = await gateway.ask(query);
  expect(performance.now() - started).toBeLessThan(1_000);
  expect(status).toBe(400);
  expect(body.data).toBeUndefined();
  expect(JSON.stringify(body)).toContain(reason);
});

test("an unauthenticated caller of the same gets nothing but the 401", async () => {
  expect((await gateway.ask(fragmentBomb, {}, null)).status).toBe(401);
});

test("introspection is open with a key", async () => {
  const { status, body } = await gateway.ask(
    getIntrospectionQuery({ oneOf: true, inputValueDeprecation: true, specifiedByUrl: true }),
  );
  expect(status).toBe(200);
  expect(body.data.__schema.types.map(({ name }: { name: string }) => name)).toContain(
    "RunCreateInput",
  );
});

test.each([
  ["a field", "{ viewr { keyId } }", {}],
  ["an argument", "{ runs(frist: 1) { edges { cursor } } }", {}],
  ["an enum literal", "{ runs(status: QUEUD) { edges { cursor } } }", {}],
  ["a type", "{ node(id: 1) { ... on Runn { id } } }", {}],
  [
    "an input field",
    'mutation { runCreate(input: { sorce: { url: "x" }, tasks: [] }) { replayed } }',
    {},
  ],
  ["a directive", "{ __typename @inclde(if: true) }", {}],
  ["a subfield of a scalar", "{ viewer { tenant } }", {}],
  [
    "an enum in a variable",
    "query ($s: [RunStatus!]) { runs(status: $s) { edges { cursor } } }",
    { s: ["QUEUD"] },
  ],
  [
    "a nested enum in a variable",
    runCreate,
    { input: { source: { url: "x" }, tasks: [{ caption: { detail: "BRIF" } }] } },
  ],
  [
    "an input field in a variable",
    runCreate,
    { input: { source: { url: "x" }, taks: [], tasks: [] } },
  ],
  [
    "a oneOf field in a variable",
    runCreate,
    { input: { source: { url: "x" }, tasks: [{ captoin: {} }] } },
  ],
])("no error suggests a name of the schema: %s", async (_what, query, variables) => {
  const { status, body } = await gateway.ask(query, variables);
  expect(status).toBe(400);
  expect(body.errors.length).toBeGreaterThan(0);
  expect(JSON.stringify(body)).not.toMatch(/did you mean|perhaps/i);
});

test("a document full of errors is answered with few", async () => {
  const { status, body } = await gateway.ask(`{ ${times(200, (i) => `wrong${i}`)} }`);
  expect(status).toBe(400);
  expect(body.errors.length).toBeLessThanOrEqual(6);
});

test("variables full of errors are answered with few, and not repeated", async () => {
  const tasks = Array.from({ length: 1_000 }, () => ({ ["x".repeat(1_000)]: 1 }));
  const { status, body } = await gateway.ask(runCreate, { input: { source: { url: "x" }, tasks } });
  expect(status).toBe(400);
  expect(body.errors.length).toBeLessThanOrEqual(6);
  expect(JSON.stringify(body).length).toBeLessThan(5_000);
});

test("exactly one source and one task field are asked for", async () => {
  for (const input of [
    { source: { url: "x", base64: "x" }, tasks: [] },
    { source: {}, tasks: [] },
    { source: { url: null }, tasks: [] },
    { source: { url: "x" }, tasks: [{ caption: {}, ask: { question: "?" } }] },
  ]) {
    const { status, body } = await gateway.ask(runCreate, { input });
    expect(status).toBe(400);
    expect(body.errors[0].extensions.code).toBe("BAD_USER_INPUT");
  }
});

test("null for an argument that has a default is the caller's mistake, not ours", async () => {
  const { body } = await gateway.ask(
    "query ($n: Int = 5) { runs(first: $n) { edges { cursor } } }",
    { n: null },
  );
  expect(body.errors[0].extensions.code).toBe("BAD_USER_INPUT");
});

test("a name that JavaScript objects inherit is data like any other", async () => {
  const text = `{"input":{"source":{"base64":"AAAA"},"tasks":[{"caption":{}}],"metadata":{"__proto__":{"polluted":true}}}}`;
  const { status } = await gateway.ask(runCreate, JSON.parse(text));
  expect(status).toBe(200);
  expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
});

test("a subscription is refused where no events can be sent", async () => {
  const { status, body } = await gateway.ask('subscription { runProgress(id: "run_x") { id } }');
  expect(status).toBe(400);
  expect(body.errors[0].message).toContain("/graphql/stream");
});
