import {
  type GraphQLInputType,
  getNullableType,
  isInputObjectType,
  isListType,
  parse,
} from "graphql";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { operationCost } from "../../api/operation-cost.ts";
import { buildGatewaySchema } from "../../api/schema.ts";
import { limits } from "../../core/limits.ts";
import { mintKey, scopes } from "../../core/tenant.ts";
import { grantOf } from "../core/new-key.ts";
import { picture } from "../picture.ts";
import { smallest } from "./every-field.ts";
import { runInput, send, startGateway, type TestGateway } from "./start.ts";

let gateway: TestGateway;
let operator: string;
beforeAll(async () => {
  gateway = await startGateway();
  const { text, key } = mintKey(grantOf("ada", { scopes: [...scopes] }), gateway.secret, 0);
  await gateway.ports.tenants.createKey(key);
  operator = `Bearer ${text}`;
});
afterAll(() => gateway.close());

const create = `mutation ($input: RunCreateInput!) {
  runCreate(input: $input) { run { id metadata } replayed userErrors { path code message fix } }
}`;

/** What the body says, letter for letter: JSON.stringify would mend or hide what is tested. */
function askRaw(body: string, authorization = `Bearer ${gateway.keys.ada}`) {
  const headers = { "content-type": "application/json", authorization };
  return send(`${gateway.url}/graphql`, { method: "POST", headers, body });
}

/** runCreate with metadata and more as JSON, by variables. */
async function createWith(json: { metadata?: string; key?: string }) {
  const { source, tasks } = (await runInput()) as Record<string, object>;
  const key = json.key === undefined ? "" : `,"idempotencyKey":${json.key}`;
  const input = `{"source":${JSON.stringify(source)},"tasks":${JSON.stringify(tasks)},"metadata":${json.metadata ?? "null"}${key}}`;
  return askRaw(`{"query":${JSON.stringify(create)},"variables":{"input":${input}}}`);
}

/** The same with the metadata as a literal of the document. */
async function createWithLiteral(metadata: string) {
  const { source } = (await runInput()) as { source: { base64: string } };
  const query = `mutation ($b: String!) {
    runCreate(input: { source: { base64: $b }, tasks: [{ caption: {} }], metadata: ${metadata} }) {
      run { id metadata } replayed userErrors { path code message fix } } }`;
  return gateway.ask(query, { b: source.base64 });
}

const nested = (levels: number, inner = "") => `${"[".repeat(levels)}${inner}${"]".repeat(levels)}`;
const objects = (levels: number) => `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;

describe("metadata", () => {
  test.each([
    ["33 lists", nested(33), ["metadata", ...Array(32).fill("0")]],
    ["4,000 lists", nested(4_000), ["metadata", ...Array(32).fill("0")]],
    ["a million lists", nested(1_000_000), ["metadata", ...Array(32).fill("0")]],
    ["33 objects", objects(33), ["metadata", ...Array(32).fill("a")]],
    ["100,000 objects", objects(100_000), ["metadata", ...Array(32).fill("a")]],
    ["half a pair", '{"a":["b","\\ud800"]}', ["metadata", "a", "1"]],
    ["half a pair in a name", '{"a":{"\\udc00":1}}', ["metadata", "a", "\ufffd"]],
    ["a NUL", '{"a":"b\\u0000"}', ["metadata", "a"]],
    ["a NUL in a name", '{"b\\u0000":1}', ["metadata", "b\u0000"]],
    ["1e400", '{"a":1e400}', ["metadata", "a"]],
    ["-1e400", "[-1e400]", ["metadata", "0"]],
    ["2^53 + 1", "9007199254740993", ["metadata"]],
    ["1e300", '{"__proto__":1e300}', ["metadata", "__proto__"]],
  ])("is refused in its place, with and without a key: %s", async (_what, metadata, path) => {
    for (const key of [{}, { key: `"key-${path.length}"` }]) {
      const { status, body } = await createWith({ metadata, ...key });
      expect([status, body.errors]).toEqual([200, undefined]);
      const [error, ...others] = body.data.runCreate.userErrors;
      expect(others).toEqual([]);
      expect(error).toMatchObject({ code: "INVALID", path: ["input", ...path] });
      expect(error.fix).toBeTruthy();
    }
  });

  test.each([
    ["33 lists", nested(33)],
    ["900 lists", nested(900)],
    ["a NUL", '{ a: "\\u0000" }'],
    ["1e400", "{ a: 1e400 }"],
    ["2^53 + 1", "[9007199254740993]"],
  ])("is refused as a literal, too: %s", async (_what, metadata) => {
    const { body } = await createWithLiteral(metadata);
    const [error] = body.data.runCreate.userErrors;
    expect(error.code).toBe("INVALID");
    expect(error.path.slice(0, 2)).toEqual(["input", "metadata"]);
  });

  test.each([
    ["32 lists", nested(32)],
    ["a pair", '{"\u{1F600}":"\u{1F600}"}'],
    ["names that objects inherit", '{"__proto__":{"x":1},"constructor":2,"toString":[3]}'],
    ["the largest exact integers", "[9007199254740991,-9007199254740991,0.5,1e-300]"],
    ["null within", '{"a":null,"b":[null]}'],
    ["é in two spellings", '["\u00e9","e\u0301"]'],
  ])("comes back as it was given: %s", async (_what, metadata) => {
    const { body } = await createWith({ metadata });
    expect(body.data.runCreate.userErrors).toEqual([]);
    const got = body.data.runCreate.run.metadata;
    expect(JSON.stringify(got)).toBe(JSON.stringify(JSON.parse(metadata)));
  });

  test("a literal keeps a name that objects inherit", async () => {
    const { body } = await createWithLiteral("{ __proto__: { x: 1 }, constructor: 2 }");
    const got = body.data.runCreate.run.metadata;
    expect(JSON.stringify(got)).toBe('{"__proto__":{"x":1},"constructor":2}');
  });
});

describe("an idempotency key", () => {
  test("is refused where a store would make one of two", async () => {
    for (const key of ['"k\\ud800"', '"k\\udc00"', '"k\\u0000"']) {
      const { body } = await createWith({ key });
      expect(body.data.runCreate.userErrors).toMatchObject([
        { code: "INVALID", path: ["input", "idempotencyKey"] },
      ]);
    }
  });

  test("does not take other input for the same: null within the metadata, names, spellings", async () => {
    const given = ['{"a":null}', "{}", '{"b":null}', '{"a":1}', '["a"]', '"\u00e9"', '"e\u0301"'];
    for (const [i, metadata] of given.entries()) {
      expect(
        (await createWith({ metadata, key: `"m-${i}"` })).body.data.runCreate.run,
      ).toBeTruthy();
      for (const other of given.filter((each) => each !== metadata)) {
        const { userErrors } = (await createWith({ metadata: other, key: `"m-${i}"` })).body.data
          .runCreate;
        expect(userErrors).toMatchObject([{ code: "IDEMPOTENCY_MISMATCH" }]);
      }
    }
  });

  test("takes the same input for the same, in another order of names", async () => {
    const first = await createWith({ metadata: '{"a":1,"b":2}', key: '"order"' });
    const second = await createWith({ metadata: '{"b":2,"a":1}', key: '"order"' });
    expect(second.body.data.runCreate).toMatchObject({ replayed: true });
    expect(second.body.data.runCreate.run.id).toBe(first.body.data.runCreate.run.id);
  });

  test("does not answer a text that is no base64 with the run of one that is", async () => {
    const base64 = (await picture()).toString("base64");
    const ask = (text: string) =>
      gateway.ask(create, {
        input: { source: { base64: text }, tasks: [{ caption: {} }], idempotencyKey: "b64" },
      });
    expect((await ask(base64)).body.data.runCreate.run).toBeTruthy();
    const { userErrors } = (await ask(`${base64}\n`)).body.data.runCreate;
    expect(userErrors).toMatchObject([{ code: "IDEMPOTENCY_MISMATCH" }]);
  });
});

test("of many runs, the one with broken metadata fails alone", async () => {
  const good = await runInput();
  const bad = await runInput({ metadata: JSON.parse(nested(40)) });
  const { body } = await gateway.ask(
    "mutation ($i: RunsCreateInput!) { runsCreate(input: $i) { items { run { id } userErrors { path code } } userErrors { code } } }",
    { i: { items: [good, bad] } },
  );
  const { items, userErrors } = body.data.runsCreate;
  expect(userErrors).toEqual([]);
  expect(items[0].run).toBeTruthy();
  expect(items[1].userErrors[0]).toMatchObject({ code: "INVALID" });
  expect(items[1].userErrors[0].path.slice(0, 4)).toEqual(["input", "items", "1", "metadata"]);
});

interface Place {
  readonly path: readonly string[];
  /** The argument's value with `text` in this place. */
  with(text: string): unknown;
}

/** Every place of a type at which a caller gives a text. */
function textPlaces(type: GraphQLInputType): Place[] {
  const inner = getNullableType(type);
  if (isListType(inner))
    return textPlaces(inner.ofType).map((place) => ({
      path: ["0", ...place.path],
      with: (text) => [place.with(text)],
    }));
  if (isInputObjectType(inner)) {
    const fields = Object.values(inner.getFields());
    const needed = inner.isOneOf ? [] : fields.filter((each) => String(each.type).endsWith("!"));
    return fields.flatMap((field) =>
      textPlaces(field.type).map((place) => ({
        path: [field.name, ...place.path],
        with: (text: string) => ({
          ...Object.fromEntries(
            needed
              .filter((each) => each.defaultValue === undefined && each.name !== field.name)
              .map((each) => [each.name, smallestValue(each.type)]),
          ),
          [field.name]: place.with(text),
        }),
      })),
    );
  }
  return ["String", "ID", "URL", "JSON"].includes(String(inner))
    ? [{ path: [], with: (text) => text }]
    : [];
}

function smallestValue(type: GraphQLInputType): unknown {
  const inner = getNullableType(type);
  if (isListType(inner)) return [smallestValue(inner.ofType)];
  if (String(inner) === "TaskInput") return { caption: {} };
  if (isInputObjectType(inner)) {
    const fields = Object.values(inner.getFields());
    const needed = inner.isOneOf
      ? fields.slice(0, 1)
      : fields.filter((each) => String(each.type).endsWith("!") && each.defaultValue === undefined);
    return Object.fromEntries(needed.map((each) => [each.name, smallestValue(each.type)]));
  }
  return JSON.parse(smallest(type).replace(/^[A-Z_]+$/, '"$&"'));
}

const schema = buildGatewaySchema();
const argumentPlaces = [
  ["query", schema.getQueryType()] as const,
  ["mutation", schema.getMutationType()] as const,
].flatMap(([kind, root]) =>
  Object.values(root?.getFields() ?? {}).flatMap((field) =>
    field.args.flatMap((arg) =>
      textPlaces(arg.type).map((place) => {
        const path = [arg.name, ...place.path];
        return { kind, field, arg, place, path, name: `${field.name}(${path.join(".")})` };
      }),
    ),
  ),
);

test("there are many places for texts", () => {
  expect(argumentPlaces.length).toBeGreaterThan(60);
});

/** Asks for a field with a text in one place of its arguments; the error that it gives. */
async function errorFor(
  { kind, field, arg, place }: (typeof argumentPlaces)[number],
  text: string,
) {
  const others = field.args.filter(
    (each) => each !== arg && String(each.type).endsWith("!") && each.defaultValue === undefined,
  );
  const declared = [arg, ...others].map(({ name, type }) => `$${name}: ${type}`).join(", ");
  const passed = [arg, ...others].map(({ name }) => `${name}: $${name}`).join(", ");
  const errors = "userErrors { path code }";
  const items = field.name === "runsCreate" ? `items { ${errors} }` : "";
  const selection = kind === "mutation" ? `{ ${items} ${errors} }` : "{ __typename }";
  const query = `${kind} (${declared}) { ${field.name}(${passed}) ${selection} }`;
  const rest = Object.fromEntries(others.map((each) => [each.name, smallestValue(each.type)]));
  const variables = { [arg.name]: place.with(text), ...rest };
  const { body } = await gateway.ask(query, variables, operator);
  if (kind === "query") return { code: body.errors?.[0].extensions.code, path: null };
  const { userErrors, items: [item] = [] } = body.data[field.name];
  return userErrors[0] ?? item?.userErrors[0];
}

test.each(argumentPlaces)("a text that no store keeps is refused: $name", async (at) => {
  for (const text of ["https://example.com/\ud800", "https://example.com/\0"]) {
    const { code, path } = await errorFor(at, text);
    expect(code).toBe("INVALID");
    if (at.kind === "mutation") expect(path).toEqual(at.path);
  }
});

const idPlaces = argumentPlaces.filter(({ path }) => /id$|^after$/i.test(path.at(-1) ?? ""));
test.each(idPlaces)("an id that is longer than any is refused: $name", async (at) => {
  const { code } = await errorFor(at, "x".repeat(limits.request.idMax + 1));
  expect(code).toMatch(/^(INVALID|NOT_FOUND)$/);
});

describe("the document itself", () => {
  test.each([
    ["30,000 braces", `{${"a{".repeat(30_000)}`],
    ["braces that close", `{${"a{".repeat(15_000)}a${"}".repeat(15_001)}`],
    ["60,000 lists", `{ runs(status: ${"[".repeat(60_000)}`],
    ["lists that close", `{ runs(status: ${nested(30_000)}) { edges { cursor } } }`],
    ["990 levels within the tokens", `{${"a{".repeat(660)}a${"}".repeat(661)}`],
    ["a type of 60,000 lists", `query ($a: ${"[".repeat(60_000)}`],
    ["objects as a default", `query ($a: JSON = ${"{a:".repeat(20_000)}`],
  ])("nested without end is the caller's mistake: %s", async (_what, query) => {
    const { status, body } = await gateway.ask(query);
    expect(status).toBe(400);
    expect(body.errors[0].extensions.code).toMatch(/^GRAPHQL_(PARSE|VALIDATION)_FAILED$/);
  });

  test.each(["constructor", "toString", "__proto__"])(
    "a variable that is not given costs what its default costs, called %s",
    (name) => {
      const costOf = (called: string, variables: object = {}) => {
        const query = `query ($${called}: Int) { runs(first: $${called}) { edges { node { image { id } } } } }`;
        return operationCost(schema, { document: parse(query), variables: { ...variables } });
      };
      expect(costOf(name)).toBe(costOf("plain"));
      expect(costOf("plain")).toBeGreaterThan(costOf("plain", { plain: 1 }));
    },
  );

  test("an operation named as what objects inherit is looked for by its name", async () => {
    for (const name of ["__proto__", "constructor", "toString"]) {
      const ask = (query: string) => askRaw(JSON.stringify({ query, operationName: name }));
      expect((await ask(`query ${name} { __typename }`)).body.data).toEqual({
        __typename: "Query",
      });
      expect((await ask("query other { __typename }")).status).toBe(400);
    }
  });
});

test("a cursor that another text decodes to is refused", async () => {
  await createWith({ metadata: "1" });
  const page = "query ($after: String) { runs(first: 1, after: $after) { edges { cursor } } }";
  const { cursor } = (await gateway.ask(page)).body.data.runs.edges[0];
  expect((await gateway.ask(page, { after: cursor })).body.errors).toBeUndefined();
  for (const after of [`${cursor}=`, `${cursor}!`, ` ${cursor}`, "__proto__", "constructor"]) {
    const { body } = await gateway.ask(page, { after });
    expect(body.errors[0].extensions.code).toBe("INVALID");
  }
});

test.each(["__proto__", "constructor", "toString"])("%s is a name like any other", async (name) => {
  const ask = async (query: string, variables: object) =>
    (await gateway.ask(query, variables, operator)).body;
  const { tenantCreate } = (
    await ask(
      "mutation ($name: String!) { tenantCreate(input: { name: $name }) { tenant { id name } userErrors { code } } }",
      { name },
    )
  ).data;
  expect(tenantCreate).toEqual({ tenant: { id: expect.any(String), name }, userErrors: [] });
  for (const [query, variables] of [
    ["query ($id: ID!) { run(id: $id) { id } }", { id: name }],
    ["query ($id: ID!) { node(id: $id) { id } }", { id: name }],
    ["query ($id: ID!) { tenant(id: $id) { id } }", { id: name }],
    ["query ($id: ID!) { webhookEndpoint(id: $id) { id } }", { id: name }],
  ] as const)
    expect(Object.values((await ask(query, variables)).data)).toEqual([null]);
  const run = await runInput({ model: name });
  expect((await ask(create, { input: run })).data.runCreate.userErrors).toMatchObject([
    { code: "MODEL_NOT_FOUND" },
  ]);
  const action =
    "query ($filter: AuditFilter) { auditLog(first: 1, filter: $filter) { edges { cursor } } }";
  const audited = await ask(action, { filter: { action: name } });
  expect(audited.errors[0].extensions.code).toBe("INVALID");
  const events = "query ($s: [RunStatus!]) { runs(status: $s) { edges { cursor } } }";
  expect((await ask(events, { s: [name] })).errors[0].extensions.code).toBe("BAD_USER_INPUT");
  const labelled = await runInput({ tasks: [{ detectObjects: { labels: [name] } }] });
  expect((await ask(create, { input: labelled })).data.runCreate.userErrors).toEqual([]);
});
