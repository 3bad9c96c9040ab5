import { getOperationAST, parse, validate } from "graphql";
import { afterAll, beforeAll, expect, test } from "vitest";
import { examples } from "../../api/graphiql/examples.ts";
import { pageDoor } from "../../api/origin.ts";
import { buildGatewaySchema } from "../../api/schema.ts";
import { send, startForTest, startGateway, type TestGateway } from "./start.ts";

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway({ graphiql: true });
});
afterAll(() => gateway.close());

test("on this machine, / is GraphiQL, carries no secret, and loads nothing from elsewhere", async () => {
  const { status, headers, body } = await send(gateway.url);
  expect(status).toBe(200);
  expect(headers.get("content-security-policy")).toMatch(
    /^default-src 'none'; script-src 'self';.*frame-ancestors 'none'$/,
  );
  expect(headers.get("cache-control")).toBe("no-store");
  expect(body).not.toMatch(/vdr_|https?:\/\//);
});

test("the page's bundle and style come from the build", async () => {
  for (const [name, type] of [
    ["page.js", "text/javascript"],
    ["page.css", "text/css"],
  ]) {
    const { status, headers, body } = await send(`${gateway.url}/graphiql/${name}`);
    expect(status).toBe(200);
    expect(headers.get("content-type")).toContain(type);
    expect(body.length).toBeGreaterThan(10_000);
  }
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"])
    expect((await send(`${gateway.url}/graphiql/${name}`)).status).toBe(404);
  expect((await send(`${gateway.url}/graphiql/serve.js`)).status).toBe(404);
  expect((await send(`${gateway.url}/graphiql/..%2fserve.js`)).status).toBe(404);
});

const request = (host: string | null, more: Record<string, string> = {}) =>
  new Request("http://gateway/", { headers: { ...(host !== null && { host }), ...more } });

test.each([
  ["another machine", "192.168.1.7", "localhost:4000", {}],
  ["another machine's IPv6", "2001:db8::1", "localhost:4000", {}],
  ["a name that was pointed at this machine", "127.0.0.1", "evil.example:4000", {}],
  ["a name that only looks local", "127.0.0.1", "localhost.evil.example", {}],
  ["no name", "127.0.0.1", null, {}],
  ["a proxy's own port", "127.0.0.1", "localhost", {}],
  ["a proxy that names itself", "127.0.0.1", "localhost:4000", { via: "1.1 proxy" }],
  ["a proxy that names its client", "127.0.0.1", "localhost:4000", { "x-forwarded-for": "::1" }],
])("the page is not there for %s", (_what, address, host, more) => {
  expect(pageDoor("http://127.0.0.1:4000")(request(host, more), address)).toBe(false);
});

test.each([
  ["127.0.0.1", "localhost:4000"],
  ["::ffff:127.0.0.1", "127.0.0.1:4000"],
  ["::1", "[::1]:4000"],
])("the page is there for %s as %s, if the public URL is of this machine", (address, host) => {
  expect(pageDoor("http://127.0.0.1:4000")(request(host), address)).toBe(true);
  expect(pageDoor("https://vedere.example.com:4000")(request(host), address)).toBe(false);
});

test("without the option there is no page", async () => {
  const plain = await startForTest();
  for (const path of ["/", "/graphiql/page.js"])
    expect((await send(`${plain.url}${path}`, { headers: { accept: "text/html" } })).status).toBe(
      404,
    );
});

test("every example fits the schema, and the first one is taken as it stands", async () => {
  const schema = buildGatewaySchema();
  for (const { query } of examples) {
    const document = parse(query);
    expect(validate(schema, document)).toEqual([]);
    expect(getOperationAST(document)?.name?.value).toMatch(/^\w+$/);
  }
  const [first] = examples;
  const { body } = await gateway.ask(
    first?.query.replace("waitMs: 30000", "waitMs: 0") ?? "",
    first?.variables,
  );
  expect(body.data.runCreate).toMatchObject({
    run: { status: "QUEUED", image: { width: 224 } },
    userErrors: [],
  });
});
