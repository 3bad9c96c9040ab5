import { request as ask, createServer, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { anyEntry } from "../../core/audit.ts";
import { limits } from "../../core/limits.ts";
import { createSignInToken, sessionScopes } from "../../core/session.ts";
import { mintKey, scopes } from "../../core/tenant.ts";
import { grantOf } from "../core/new-key.ts";
import { runInput, startForTest, startGateway, type TestGateway } from "./start.ts";

let gateway: TestGateway;
let now = Date.now();
const clock = { now: () => now };
beforeAll(async () => {
  gateway = await startGateway({ graphiql: true }, (ports) => ({ ...ports, clock }));
});
afterAll(() => gateway.close());

const viewer = "{ viewer { tenant { id } scopes } }";
const samePage = { "sec-fetch-site": "same-origin" };

/** A request with exactly these headers, as a browser may send them and fetch may not. */
function call(
  method: string,
  url: string,
  { headers = {}, body }: { headers?: Record<string, string>; body?: object } = {},
): Promise<{ status: number; cookie: string; setCookie: string; body: unknown; text: string }> {
  return new Promise((resolve, reject) => {
    const type = body ? { "content-type": "application/json" } : {};
    ask(url, { method, headers: { ...type, ...headers } }, async (response) => {
      const content = await text(response);
      const setCookie = String(response.headers["set-cookie"] ?? "");
      const isJson = String(response.headers["content-type"]).includes("json");
      resolve({
        status: response.statusCode ?? 0,
        setCookie,
        cookie: setCookie.split(";")[0] ?? "",
        text: content,
        body: isJson ? JSON.parse(content) : content,
      });
    })
      .on("error", reject)
      .end(body && JSON.stringify(body));
  });
}

const signIn = (body: object, headers: Record<string, string> = samePage) =>
  call("POST", `${gateway.url}/session`, { headers, body });
const see = (cookie: string, headers: Record<string, string> = samePage, path = "/graphql") =>
  call("POST", `${gateway.url}${path}`, {
    headers: { cookie, ...headers },
    body: { query: viewer },
  });

async function newKey(parts: Partial<ReturnType<typeof grantOf>> = {}) {
  const { text, key } = mintKey({ ...grantOf("ada"), scopes, ...parts }, gateway.secret, now);
  await gateway.ports.tenants.createKey(key);
  return { text, key };
}

async function newToken(key?: Parameters<typeof createSignInToken>[1]) {
  const { sessions } = gateway.ports;
  if (!sessions) throw new Error("The embedded store has sessions.");
  const ports = { sessions, clock, pepper: gateway.secret };
  return (await createSignInToken(ports, key ?? (await newKey()).key)).text;
}

test("a one-time token opens one session with stated scopes and an end, in a cookie no script reads", async () => {
  const token = await newToken();
  const answers = await Promise.all(Array.from({ length: 5 }, () => signIn({ token })));
  expect(answers.map(({ status }) => status).sort()).toEqual([201, 401, 401, 401, 401]);
  const opened = answers.find(({ status }) => status === 201);
  expect(opened?.body).toMatchObject({
    scopes: sessionScopes,
    expiresAt: new Date(now + limits.session.lifetimeMs).toISOString(),
  });
  expect(opened?.setCookie).toMatch(
    /^vedere-session-\d+=vdr_session_\w{43}; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/,
  );
  expect(opened?.text).not.toContain("vdr_session_");
  expect(await see(opened?.cookie ?? "")).toMatchObject({
    status: 200,
    body: { data: { viewer: { tenant: { id: "ada" }, scopes: sessionScopes } } },
  });
});

test("links, sessions and sign-outs leave entries with key and address, and no secret", async () => {
  const { text, key } = await newKey();
  const token = await newToken(key);
  now += 1;
  const byLink = await signIn({ token });
  now += 1;
  const byKey = await signIn({ key: text });
  now += 1;
  await call("DELETE", `${gateway.url}/session`, {
    headers: { cookie: byKey.cookie, ...samePage },
  });
  const { entries } = await gateway.ports.audit.list({ ...anyEntry, first: 9, after: null });
  const ours = entries.filter(({ actor, subject }) => [actor.keyId, subject.id].includes(key.id));
  const actor = { kind: "KEY", keyId: key.id, tenantId: "ada", address: "127.0.0.1" };
  const [ended, keyed] = ours;
  expect(ours).toMatchObject([
    { action: "session.end", actor, requestId: expect.any(String) },
    { action: "session.create", actor, details: { by: "key", scopes: sessionScopes } },
    { action: "session.create", actor, details: { by: "link" } },
    { action: "signInLink.create", actor: { kind: "COMMAND_LINE" } },
  ]);
  expect(ended?.subject).toEqual(keyed?.subject);
  const written = JSON.stringify(entries);
  for (const secret of [text, token, byLink.cookie.split("=")[1] ?? "", "vdr_"])
    expect(written).not.toContain(secret);
});

test("a session can neither make keys nor act for other tenants, whatever its key may do", async () => {
  const { cookie } = await signIn({ key: (await newKey()).text });
  for (const query of [
    'mutation { apiKeyCreate(input: { name: "x" }) { secret } }',
    "{ tenants { edges { node { id } } } }",
  ]) {
    const { body, text } = await call("POST", `${gateway.url}/graphql`, {
      headers: { cookie, ...samePage },
      body: { query },
    });
    expect(body).toMatchObject({ errors: [{ extensions: { code: "FORBIDDEN" } }] });
    expect(text).not.toContain("vdr_live_");
  }
});

test("a key that was posted gives a session of that key's scopes and end at most", async () => {
  const expiresAt = now + 60_000;
  const { text: key } = await newKey({ scopes: ["RUNS_READ", "KEYS_ADMIN"], expiresAt });
  const { cookie, body } = await signIn({ key });
  expect(body).toMatchObject({
    scopes: ["RUNS_READ"],
    expiresAt: new Date(expiresAt).toISOString(),
  });
  expect((await see(cookie)).status).toBe(200);
  now += 60_000;
  expect((await see(cookie)).status).toBe(401);
});

test.each([
  ["cross-site", { "sec-fetch-site": "cross-site" }],
  ["same-site, another port of this machine", { "sec-fetch-site": "same-site" }],
  ["none, typed into the address bar", { "sec-fetch-site": "none" }],
  ["no word of the browser", {}],
  ["another Origin", { ...samePage, origin: "http://127.0.0.1:1" }],
  ["a proxy", { ...samePage, "x-forwarded-for": "203.0.113.7" }],
])("a cookie does not count with %s", async (_what, headers) => {
  const { cookie } = await signIn({ key: gateway.keys.ada });
  expect((await see(cookie, headers as Record<string, string>)).status).toBe(401);
  expect((await see(cookie)).status).toBe(200);
});

test("sign-ins of other origins are refused: nobody signs a browser in to their own session", async () => {
  for (const headers of [{ "sec-fetch-site": "cross-site" }, { origin: "https://evil.example" }])
    expect((await signIn({ key: gateway.keys.ada }, headers)).status).toBe(403);
});

test("an Authorization header goes before a cookie", async () => {
  const { cookie } = await signIn({ key: gateway.keys.ada });
  const asBob = await see(cookie, { ...samePage, authorization: `Bearer ${gateway.keys.bob}` });
  expect(asBob.body).toMatchObject({ data: { viewer: { tenant: { id: "bob" } } } });
  expect((await see(cookie, { ...samePage, authorization: "Bearer x" })).status).toBe(401);
});

test("two cookies of the name count as none", async () => {
  const { cookie } = await signIn({ key: gateway.keys.ada });
  expect((await see(`${cookie}; ${cookie}`)).status).toBe(401);
  expect((await see(`other=1; ${cookie}`)).status).toBe(200);
});

test("the event stream takes the cookie as well", async () => {
  const { cookie } = await signIn({ key: gateway.keys.ada });
  const { status, text } = await see(cookie, samePage, "/graphql/stream");
  expect(status).toBe(200);
  expect(text).toContain("Only a subscription is served here");
});

test.each(["malformed", "expired", "revoked", "disabled"])("no session: %s", async (fault) => {
  const { text, key } = await newKey({ tenantId: fault === "disabled" ? "bob" : "ada" });
  const token = await newToken(key);
  const { cookie } = await signIn({ key: text });
  if (fault === "expired") now += limits.session.lifetimeMs;
  if (fault === "revoked") await gateway.ports.tenants.revokeKey("ada", key.id, now);
  if (fault === "disabled") await gateway.ports.tenants.setDisabled("bob", now);
  const given = fault === "malformed" ? `${token}x` : token;
  expect((await signIn({ token: given })).status).toBe(401);
  expect((await see(fault === "malformed" ? `${cookie}x` : cookie)).status).toBe(401);
  await gateway.ports.tenants.setDisabled("bob", null);
});

test("signing out ends the session in the store, not only in the browser", async () => {
  const { cookie } = await signIn({ key: gateway.keys.ada });
  const url = `${gateway.url}/session`;
  const headers = { cookie, ...samePage };
  expect((await call("GET", url, { headers })).body).toMatchObject({ tenantId: "ada" });
  const out = await call("DELETE", url, { headers });
  expect([out.status, out.setCookie]).toEqual([204, expect.stringContaining("Max-Age=0")]);
  expect((await see(cookie)).status).toBe(401);
  expect((await call("GET", url, { headers })).status).toBe(401);
});

const runCreate = `mutation ($input: RunCreateInput!) {
  runCreate(input: $input) { run { id status } userErrors { code } } }`;

/**
 * A subscription with a session's cookie: when its first event is there, and all of it at its end.
 */
function follow(cookie: string, runId: string): { first: Promise<unknown>; all: Promise<string> } {
  const subscription = `subscription { runProgress(id: "${runId}") { status } }`;
  const sent = ask(`${gateway.url}/graphql/stream`, {
    method: "POST",
    headers: { "content-type": "application/json", cookie, ...samePage },
  });
  sent.end(JSON.stringify({ query: subscription }));
  let seen = "";
  const opened = new Promise<IncomingMessage>((resolve, reject) => {
    sent.on("response", resolve).on("error", reject);
  });
  return {
    first: opened.then(
      (response) =>
        new Promise<void>((resolve) =>
          response.on("data", (chunk: Buffer) => {
            seen += chunk.toString();
            if (seen.includes("event: next")) resolve();
          }),
        ),
    ),
    all: opened.then(
      (response) => new Promise((resolve) => response.on("end", () => resolve(seen))),
    ),
  };
}

test.each([
  [
    "it signs out",
    (cookie: string) =>
      call("DELETE", `${gateway.url}/session`, { headers: { cookie, ...samePage } }),
  ],
  [
    "it expires",
    async () => {
      now += limits.session.lifetimeMs;
    },
  ],
])(
  "a session's open subscriptions and long polls end when %s, and others' go on",
  async (_how, end) => {
    const before = now;
    const { text: key } = await newKey();
    const { cookie } = await signIn({ key });
    const headers = { cookie, ...samePage };
    const create = async (parts: object) => ({
      query: runCreate,
      variables: { input: await runInput(parts) },
    });
    const created = await call("POST", `${gateway.url}/graphql`, {
      headers,
      body: await create({}),
    });
    const { id } = JSON.parse(created.text).data.runCreate.run;
    const stream = follow(cookie, id);
    await stream.first;
    const count = () => gateway.ports.runs.countUnfinished("ada");
    const unfinished = await count();
    const polling = call("POST", `${gateway.url}/graphql`, {
      headers,
      body: await create({ waitMs: 60_000 }),
    });
    await expect.poll(count).toBeGreaterThan(unfinished);
    const byKey = gateway.ask(
      runCreate,
      { input: await runInput({ waitMs: 3_000 }) },
      `Bearer ${key}`,
    );
    await end(cookie);
    const events = (await stream.all).split("\n\n").filter((each) => each.startsWith("event"));
    expect(events.at(-2)).toContain('"code":"UNAUTHENTICATED"');
    expect(events.at(-2)).toContain("session has ended");
    expect(events.at(-1)).toBe("event: complete\ndata:");
    expect((await polling).status).toBe(401);
    expect((await byKey).body.data.runCreate.run.status).toBe("QUEUED"); // the key itself is alive
    now = before;
  },
);

test.each([[{}], [{ token: 1 }], [{ key: "a", token: "b" }], [[]], [{ constructor: "x" }]])(
  "a sign-in of another shape is refused: %j",
  async (body) => {
    expect((await signIn(body)).status).toBe(400);
  },
);

test("a long sign-in is refused", async () => {
  expect((await signIn({ key: "x".repeat(5_000) })).status).toBe(413);
});

test("a second service over https names its cookie so that no other host and no http can set it", async () => {
  const https = await startForTest({ graphiql: true, publicUrl: "https://localhost:443" });
  const { status } = await call("GET", https.url); // its own port is not the public URL's
  expect(status).toBe(404);
  const headers = { host: "localhost", ...samePage };
  const { setCookie } = await call("POST", `${https.url}/session`, {
    headers,
    body: { key: https.keys.ada },
  });
  expect(setCookie).toMatch(
    /^__Host-vedere-session=.*; Path=\/; HttpOnly; SameSite=Strict; Secure$/,
  );
});

test("without a public URL of this machine there is no page and no session", async () => {
  const other = await startForTest({ graphiql: true, publicUrl: "https://vedere.example.com" });
  const body = { key: other.keys.ada };
  expect((await call("GET", other.url)).status).toBe(404);
  const headers = samePage;
  expect((await call("POST", `${other.url}/session`, { headers, body })).status).toBe(404);
});

/**
 * A reverse proxy on this machine, as nginx is by default: a Host of its own choice, no other
 * header.
 */
async function proxyTo(target: string, host: (own: string) => string): Promise<string> {
  const server = createServer((incoming, outgoing) => {
    const { hostname, port } = new URL(target);
    const headers = { ...incoming.headers, host: host(incoming.headers.host ?? "") };
    const { method = "GET", url: path = "/" } = incoming;
    const passed = ask({ hostname, port, method, path, headers }, (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(outgoing);
    });
    incoming.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  return `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
}

const paths = [
  ...["/", "/graphql", "/graphql/stream", "/session", "/healthz", "/readyz", "/metrics"],
  ...["/graphiql/page.js", "/graphiql/page.css", "/uploads/upl_x?signature=x", "/local.key"],
  ...["/graphiql/__proto__", "//evil/graphql", "/nowhere"],
];

test.each([
  ["no proxy", null],
  ["a proxy with the gateway's Host", () => new URL(gateway.url).host],
  ["a proxy with its client's Host", (own: string) => own],
  ["a proxy with localhost", () => "localhost"],
])("no answer without a key holds a secret of the store: %s", async (_what, host) => {
  const { text: key, key: record } = await newKey();
  const token = await newToken(record);
  const { cookie } = await signIn({ key });
  const secrets = [key, record.id, token, cookie.split("=")[1] ?? "", gateway.secret];
  const url = host === null ? gateway.url : await proxyTo(gateway.url, host);
  for (const path of paths) {
    for (const method of ["GET", "POST", "PUT", "DELETE", "OPTIONS"]) {
      for (const headers of [{}, samePage, { host: "localhost", "x-forwarded-for": "127.0.0.1" }]) {
        const body = ["POST", "PUT"].includes(method) ? { body: { query: viewer } } : {};
        const answer = await call(method, `${url}${path}`, { headers, ...body });
        const all = answer.text + answer.setCookie;
        expect(secrets.filter((secret) => all.includes(secret))).toEqual([]);
        expect(all).not.toMatch(/vdr_(live|session)_\w{20}/);
      }
    }
  }
});

test("the page answers no client of a proxy that passes the client's Host on", async () => {
  const url = await proxyTo(gateway.url, (own) => own);
  expect((await call("GET", url, { headers: { host: "vedere.example.com" } })).status).toBe(404);
  expect((await call("GET", url, { headers: { host: "localhost" } })).status).toBe(404);
});

test("the store holds hashes of tokens and sessions only", async () => {
  const token = await newToken();
  const { cookie } = await signIn({ key: gateway.keys.ada });
  const session = cookie.split("=")[1] ?? "";
  expect(await gateway.ports.sessions?.find(session)).toBeNull();
  expect(await gateway.ports.sessions?.takeToken(token)).toBeNull();
  expect((await signIn({ token })).status).toBe(201);
});
