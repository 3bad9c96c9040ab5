import { afterAll, beforeAll, expect, test } from "vitest";
import { mintKey } from "../../core/tenant.ts";
import { grantOf } from "../core/new-key.ts";
import { send, startGateway, type TestGateway } from "./start.ts";

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.close());

const viewer = "{ viewer { tenant { id name } keyId } }";

test("a key tells its tenant", async () => {
  const { status, body } = await gateway.ask(viewer);
  expect(status).toBe(200);
  expect(body.data.viewer).toEqual({
    tenant: { id: "ada", name: "ada" },
    keyId: gateway.keys.ada.slice(9, 31),
  });
});

test("the scheme's name may be written in any case", async () => {
  expect((await gateway.ask(viewer, {}, `bearer ${gateway.keys.ada}`)).status).toBe(200);
});

test("a missing, malformed or unknown key is answered 401, before a byte is parsed, without a word about the schema", async () => {
  const mistyped = gateway.keys.ada.slice(0, -1) + (gateway.keys.ada.endsWith("0") ? "1" : "0");
  const headers = [
    null,
    "",
    "Bearer",
    "Bearer ",
    `Basic ${gateway.keys.ada}`,
    "Bearer hello",
    `Bearer ${mistyped}`,
    `Bearer ${mintKey(grantOf("ada"), "x", 0).text}`,
  ];
  for (const authorization of headers) {
    for (const query of ["{ viewr }", "qwerty cop { abc }", "{ __schema { types { name } } }"]) {
      const { status, headers: sent, body } = await gateway.ask(query, {}, authorization);
      expect(status).toBe(401);
      expect(sent.get("www-authenticate")).toBe('Bearer realm="vedere"');
      expect(body).toEqual({
        errors: [
          {
            message: expect.stringContaining("Authorization: Bearer vdr_live_"),
            extensions: { code: "UNAUTHENTICATED" },
          },
        ],
      });
    }
  }
});

test("an unknown key, a wrong secret and a revoked key are answered with the same bytes", async () => {
  const own = mintKey(grantOf("ada"), "whatever the pepper", 0);
  await gateway.ports.tenants.createKey(own.key); // its hash is under another pepper: the secret is wrong
  const revoked = mintKey(grantOf("ada"), "x", 0);
  await gateway.ports.tenants.createKey({ ...revoked.key, revokedAt: 1 });
  const answers = await Promise.all(
    [own.text, revoked.text, mintKey(grantOf("ada"), "x", 0).text].map((text) =>
      gateway.ask(viewer, {}, `Bearer ${text}`),
    ),
  );
  expect(answers.map(({ status }) => status)).toEqual([401, 401, 401]);
  expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
});

test("a revoked key with its true secret is refused at once", async () => {
  const other = await startGateway({ secret: "pepper" });
  const { text, key } = mintKey(grantOf("ada"), "pepper", 0);
  await other.ports.tenants.createKey({ ...key, revokedAt: 1 });
  expect((await other.ask(viewer, {}, `Bearer ${text}`)).status).toBe(401);
  const { text: good, key: kept } = mintKey(grantOf("ada"), "pepper", 0);
  await other.ports.tenants.createKey(kept);
  expect((await other.ask(viewer, {}, `Bearer ${good}`)).status).toBe(200);
  await other.close();
});

test("the event stream asks for a key as well", async () => {
  const { status } = await send(`${gateway.url}/graphql/stream`, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/event-stream" },
    body: JSON.stringify({ query: 'subscription { runProgress(id: "run_x") { id } }' }),
  });
  expect(status).toBe(401);
});
