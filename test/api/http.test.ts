import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { listen } from "../../api/http.ts";
import { send, startGateway, type TestGateway } from "./start.ts";

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.close());

const post = (body: string, headers: Record<string, string> = {}, path = "/graphql") =>
  send(`${gateway.url}${path}`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      authorization: `Bearer ${gateway.keys.ada}`,
      ...headers,
    },
    body,
  });

test("GET is refused, whatever it carries", async () => {
  for (const path of [
    "/graphql?query={__typename}",
    "/graphql?query=mutation{a}",
    "/graphql/stream?query=subscription{a}",
    "/graphql",
  ]) {
    const { status, headers, body } = await send(`${gateway.url}${path}`, {
      headers: {
        "apollo-require-preflight": "1",
        accept: "text/html",
        authorization: `Bearer ${gateway.keys.ada}`,
      },
    });
    expect(status).toBe(405);
    expect(headers.get("allow")).toBe("POST");
    expect(JSON.stringify(body)).not.toMatch(/graphiql|playground|console/i);
  }
});

test("bodies that are not declared as JSON are refused", async () => {
  const types = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain;application/json",
    "application/json; charset=utf-16",
    "",
  ];
  for (const type of types)
    expect((await post('{"query":"{ __typename }"}', { "content-type": type })).status).toBe(415);
  expect(
    (
      await post('{"query":"{ __typename }"}', {
        "content-type": "Application/JSON; charset=UTF-8",
      })
    ).status,
  ).toBe(200);
});

test.each([
  "application/json",
  "application/json;charset=utf-8",
  "application/json; charset=UTF-8",
  "application/json; charset=utf8",
  'application/json; charset="utf-8"',
  'APPLICATION/JSON ; Charset="UTF8"',
  "application/json; x=y; charset=utf-8",
])("UTF-8 is taken however it is spelled: %s", async (type) => {
  expect((await post('{"query":"{ __typename }"}', { "content-type": type })).status).toBe(200);
});

test.each([
  ["multipart/form-data; boundary=x", "uploadsCreate"],
  ["application/json; charset=iso-8859-1", 'charset "iso-8859-1"'],
  ["application/json; charset=utf-16le", 'charset "utf-16le"'],
  ["application/json; charset=constructor", 'charset "constructor"'],
  ["constructor", "application/json, in UTF-8"],
  ["__proto__", "application/json, in UTF-8"],
  ["application/graphql", "application/json, in UTF-8"],
])("another type is refused with what to do: %s", async (type, words) => {
  const { status, body } = await post('{"query":"{ __typename }"}', { "content-type": type });
  expect([status, body.errors[0].extensions.code]).toEqual([415, "UNSUPPORTED_MEDIA_TYPE"]);
  expect(body.errors[0].message).toContain(words);
});

/** Posts bytes as they are. */
const postBytes = (bytes: Uint8Array<ArrayBuffer>) =>
  send(`${gateway.url}/graphql`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${gateway.keys.ada}` },
    body: bytes,
  });

test("a byte-order mark is passed over, and only at the beginning", async () => {
  const mark = "\ufeff";
  expect((await postBytes(Buffer.from(`${mark}{"query":"{ __typename }"}`))).status).toBe(200);
  for (const body of [
    `${mark}${mark}{"query":"{ __typename }"}`,
    `{"query":"{ __typename }"}${mark}`,
  ])
    expect((await postBytes(Buffer.from(body))).status).toBe(400);
});

test.each([
  ["a byte of Latin-1", [0xe9]],
  ["half a character", [0xe2, 0x82]],
  ["an overlong slash", [0xc0, 0xaf]],
  ["half a surrogate pair", [0xed, 0xa0, 0x80]],
  ["beyond Unicode", [0xf4, 0x90, 0x80, 0x80]],
])("bytes that are not UTF-8 are refused, not replaced: %s", async (_what, bytes) => {
  const around = ['{"query":"{ __typename }","operationName":"', '"}'].map((part) =>
    Buffer.from(part),
  );
  const [before = Buffer.of(), after = Buffer.of()] = around;
  const { status, body } = await postBytes(Buffer.concat([before, Buffer.from(bytes), after]));
  expect([status, body.errors[0].extensions.code]).toEqual([400, "BAD_REQUEST"]);
  expect(body.errors[0].message).toContain("UTF-8");
});

test("a batch is refused and nothing of it executed", async () => {
  const { status, body } = await post('[{"query":"{ __typename }"},{"query":"{ __typename }"}]');
  expect(status).toBe(400);
  expect(body.data).toBeUndefined();
});

test.each([
  ["", "an empty body"],
  ["{", "half an object"],
  ["null", "null"],
  ["{}", "no query"],
  ['{"query":1}', "a query that is no text"],
  ['{"query":"{ __typename }","variables":[]}', "variables that are no object"],
  ['{"query":"{ __typename }","variables":"{}"}', "variables as text"],
  ['{"query":"{ __typename }","operationName":1}', "a name that is no text"],
])("a request of another shape is refused: %s (%s)", async (text) => {
  const { status, body } = await post(text);
  expect(status).toBe(400);
  expect(body.errors[0].extensions.code).toBe("BAD_REQUEST");
});

test("a document over 64 KiB is refused", async () => {
  const { status, body } = await post(
    JSON.stringify({ query: `{ __typename } #${"x".repeat(65_536)}` }),
  );
  expect(status).toBe(400);
  expect(body.errors[0].message).toContain("65536");
});

test("a body over 8 MB is refused: by its declared length, and while it streams", async () => {
  const { status } = await post(`{"query":"${"x".repeat(8_000_000)}"}`);
  expect(status).toBe(413);
  const chunk = new Uint8Array(1_000_000).fill(0x20);
  let sent = 0;
  const endless = new ReadableStream({
    pull(controller) {
      if (sent > 9_000_000) return controller.close();
      sent += chunk.length;
      controller.enqueue(chunk);
    },
  });
  const streamed = await send(`${gateway.url}/graphql`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${gateway.keys.ada}` },
    body: endless,
    duplex: "half",
  });
  expect(streamed.status).toBe(413);
  expect((await gateway.ask("{ __typename }")).status).toBe(200);
});

test("every response carries a request id of its own, and none opens the door to other origins", async () => {
  const responses = await Promise.all([
    gateway.ask("{ __typename }"),
    gateway.ask("{ __typename }", {}, null),
    send(`${gateway.url}/healthz`),
    send(`${gateway.url}/nowhere`, { headers: { origin: "https://evil.example" } }),
    send(`${gateway.url}/graphql`, {
      method: "OPTIONS",
      headers: { origin: "https://evil.example", "access-control-request-method": "POST" },
    }),
  ]);
  expect(new Set(responses.map(({ headers }) => headers.get("x-request-id"))).size).toBe(
    responses.length,
  );
  for (const { headers } of responses) {
    expect(headers.get("x-request-id")).toMatch(/^req_\w+$/);
    expect([...headers.keys()].filter((name) => name.startsWith("access-control-"))).toEqual([]);
  }
});

test("an unknown path is answered 404 with the way to the API", async () => {
  const { status, body } = await send(`${gateway.url}/graphiql`);
  expect(status).toBe(404);
  expect(body.errors[0].message).toContain("http://vedere.test/graphql");
});

test("healthz and readyz answer 200 while store and queue do", async () => {
  expect((await send(`${gateway.url}/healthz`)).status).toBe(200);
  expect(await send(`${gateway.url}/readyz`)).toMatchObject({
    status: 200,
    body: { ready: true, reasons: [] },
  });
});

test("a request that has no meaning here does not bring the gateway down", async () => {
  const socket = connect(Number(new URL(gateway.url).port), "127.0.0.1");
  await once(socket, "connect");
  socket.end("TRACE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  expect(await text(socket)).toMatch(/^HTTP\/1\.1 400/);
  expect((await send(`${gateway.url}/healthz`)).status).toBe(200);
});

test("each request is logged in one line, without query strings", async () => {
  await send(`${gateway.url}/uploads/upl_x?signature=topsecret`, { method: "PUT", body: "x" });
  const line = gateway.logged.find(({ fields }) =>
    JSON.stringify(fields).includes("/uploads/upl_x"),
  );
  expect(line).toMatchObject({
    level: "info",
    fields: { method: "PUT", path: "/uploads/upl_x", status: 404 },
  });
  expect(JSON.stringify(gateway.logged)).not.toContain("topsecret");
  await gateway.ask("{ models { id } }");
  const keyId = gateway.keys.ada.slice(9, 31);
  expect(gateway.logged.at(-1)?.fields).toMatchObject({
    path: "/graphql",
    status: 200,
    tenantId: "ada",
    keyId,
  });
});

test("a request that fails beyond the gateway breaks its connection, and nothing else", async () => {
  let isWell = false;
  const listening = await listen(
    {
      async handle() {
        if (isWell) return new Response("well");
        throw new Error("thrown where nobody catches it");
      },
      dress: (response) => response,
      async close() {},
    },
    { host: "127.0.0.1", port: 0 },
  );
  onTestFinished(() => listening.close());
  const address = `http://127.0.0.1:${listening.port}/`;
  await expect(fetch(address)).rejects.toThrow("fetch failed");
  isWell = true;
  expect(await (await fetch(address)).text()).toBe("well");
});
