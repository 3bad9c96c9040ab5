import { lookup } from "node:dns";
import { expect, test } from "vitest";
import { limits } from "../../core/limits.ts";
import { type Answer, runCreate, runInput, send, startForTest } from "./start.ts";

const errorsOf = async (source: object) => {
  const gateway = await startForTest({ fetch: { lookup } });
  const { status, body } = await gateway.ask(runCreate, { input: await runInput({ source }) });
  if (status === 200) return body.data.runCreate.userErrors;
  expect(body.errors[0].message).toContain("uploadsCreate");
  return status;
};

test.each([
  ["an address of this machine", "https://127.0.0.1/a.jpg"],
  ["a name of this machine", "https://localhost/a.jpg"],
  ["a private network", "https://192.168.1.20/a.jpg"],
  ["http", "http://example.com/a.jpg"],
  ["another port", "https://example.com:9000/a.jpg"],
])("an image at %s names the setting, and no address", async (_what, url) => {
  const [error] = await errorsOf({ url });
  expect(error).toMatchObject({
    code: "SOURCE_BLOCKED",
    fix: expect.stringContaining("VEDERE_FETCH_PRIVATE=true"),
  });
  expect(`${error.message} ${error.fix}`).not.toMatch(/127\.|192\.168|::1/);
});

test("credentials in a URL are another matter: the setting does not allow them", async () => {
  const [error] = await errorsOf({ url: "https://me:secret@example.com/a.jpg" });
  expect(error.fix).not.toContain("VEDERE_FETCH_PRIVATE");
});

test("a webhook that is refused names the setting", async () => {
  const gateway = await startForTest();
  const create = `mutation Create($input: WebhookEndpointCreateInput!) {
    webhookEndpointCreate(input: $input) { userErrors { code fix } }
  }`;
  for (const url of ["http://localhost:8081", "https://10.0.0.1/hook", "http://example.com/hook"]) {
    const { body } = await gateway.ask(create, { input: { url } });
    expect(body.data.webhookEndpointCreate.userErrors).toMatchObject([
      { code: "INVALID", fix: expect.stringContaining("VEDERE_FETCH_PRIVATE=true") },
    ]);
  }
});

test("what is too long for a request names uploadsCreate", async () => {
  const base64 = "A".repeat(Math.ceil(limits.image.base64BytesMax / 3) * 4 + 4);
  expect(await errorsOf({ base64 })).toMatchObject([
    { code: "SOURCE_TOO_LARGE", fix: expect.stringContaining("uploadsCreate") },
  ]);
  expect(await errorsOf({ base64: `${base64}${base64}` })).toBe(413);
});

test("clients whose defaults do not fit are told which option does", async () => {
  const gateway = await startForTest();
  const authorization = `Bearer ${gateway.keys.ada}`;
  const ask = (path: string, init: RequestInit, accept = "*/*") =>
    send(`${gateway.url}${path}`, {
      ...init,
      headers: { authorization, accept, "content-type": "application/json" },
    });
  const told = ({ status, body }: Answer) => [status, body.errors?.[0].message];
  expect(told(await ask("/graphql?query={__typename}", { method: "GET" }))).toEqual([
    405,
    expect.stringContaining("preferGetMethod: false"),
  ]);
  expect(told(await ask("/graphql/stream", { method: "PUT" }))).toEqual([
    405,
    expect.stringContaining("singleConnection"),
  ]);
  const query = { method: "POST", body: '{"query":"{ __typename }"}' };
  expect(told(await ask("/graphql", query, "text/event-stream"))).toEqual([
    406,
    expect.stringContaining("/graphql/stream"),
  ]);
  for (const accept of ["application/json, text/event-stream", "*/*", "application/*"])
    expect((await ask("/graphql", query, accept)).status, accept).toBe(200);
});
