import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { readConfig } from "../../adapters/config.ts";
import { serveMetrics } from "../../cli/serve-metrics.ts";
import { lackingHeaders } from "./lacking-headers.ts";
import { freePort, startForTest, startGateway, type TestGateway } from "./start.ts";

let gateway: TestGateway;
let withKey: Record<string, string>;
beforeAll(async () => {
  gateway = await startGateway({ graphiql: true });
  withKey = {
    authorization: `Bearer ${gateway.keys.ada}`,
    "content-type": "application/json",
  };
});
afterAll(() => gateway.close());

const query = (text: string) => JSON.stringify({ query: text });
const subscription = query('subscription { runProgress(id: "run_x") { id } }');

/** Method, path, status, and what else is sent. */
const answers: [string, string, number, () => Omit<RequestInit, "method">][] = [
  ["GET", "/", 200, () => ({})],
  ["GET", "/graphiql/page.js", 200, () => ({})],
  ["GET", "/graphiql/page.css", 200, () => ({})],
  ["GET", "/graphiql/__proto__", 404, () => ({})],
  ["GET", "/graphiql/constructor", 404, () => ({})],
  ["GET", "/graphiql/toString", 404, () => ({})],
  ["GET", "/nowhere", 404, () => ({})],
  ["GET", "/session", 401, () => ({})],
  ["POST", "/session", 415, () => ({ body: "x" })],
  ["GET", "/healthz", 200, () => ({})],
  ["GET", "/readyz", 200, () => ({})],
  ["HEAD", "/healthz", 200, () => ({})],
  ["GET", "/graphql", 405, () => ({ headers: withKey })],
  ["OPTIONS", "/graphql", 405, () => ({ headers: { origin: "https://evil.example" } })],
  ["POST", "/graphql", 200, () => ({ headers: withKey, body: query("{ __typename }") })],
  ["POST", "/graphql", 400, () => ({ headers: withKey, body: query("{ nothing }") })],
  ["POST", "/graphql", 400, () => ({ headers: withKey, body: "{" })],
  ["POST", "/graphql", 401, () => ({ headers: { "content-type": "application/json" }, body: "{" })],
  ["POST", "/graphql", 413, () => ({ headers: withKey, body: "x".repeat(8_000_001) })],
  ["POST", "/graphql", 415, () => ({ headers: { ...withKey, "content-type": "a/b" }, body: "x" })],
  ["POST", "/graphql/stream", 200, () => ({ headers: withKey, body: subscription })],
  ["GET", "/graphql/stream", 405, () => ({ headers: withKey })],
  ["GET", "/uploads/upl_x?signature=x", 405, () => ({})],
  ["PUT", "/uploads/upl_x?signature=x", 404, () => ({ body: "x" })],
];

test.each(answers)(
  "%s %s answers %i with the headers of every answer",
  async (method, path, status, rest) => {
    const response = await fetch(`${gateway.url}${path}`, { method, ...rest() });
    await response.arrayBuffer();
    expect(response.status).toBe(status);
    expect(lackingHeaders(response.headers)).toEqual([]);
    expect(response.headers.get("strict-transport-security")).toBeNull(); // over http it means nothing
    expect(response.headers.get("server")).toBeNull();
    expect(response.headers.get("x-powered-by")).toBeNull();
  },
);

test("an upload that is taken answers with them", async () => {
  const bytes = Buffer.from("not an image yet");
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const { body } = await gateway.ask(
    `mutation { uploadsCreate(input: { files: [{ byteSize: ${bytes.length}, sha256: "${sha256}" }] }) { targets { url } } }`,
  );
  const { pathname, search } = new URL(body.data.uploadsCreate.targets[0].url);
  const response = await fetch(`${gateway.url}${pathname}${search}`, {
    method: "PUT",
    body: bytes,
  });
  expect([response.status, lackingHeaders(response.headers)]).toEqual([200, []]);
});

/** Sends bytes as they are; what comes back, as a status and headers. */
async function exchange(bytes: string): Promise<{ status: number; headers: Headers }> {
  const socket = connect(Number(new URL(gateway.url).port), "127.0.0.1");
  await once(socket, "connect");
  socket.end(bytes);
  const [head = ""] = (await text(socket)).split("\r\n\r\n");
  const [first = "", ...lines] = head.split("\r\n");
  const headers = new Headers(
    lines.map((line): [string, string] => [
      line.slice(0, line.indexOf(":")),
      line.slice(line.indexOf(":") + 1).trim(),
    ]),
  );
  return { status: Number(first.split(" ")[1]), headers };
}

const close = "Host: x\r\nConnection: close\r\n\r\n";
test.each([
  ["a path of two slashes", `GET //evil/graphql HTTP/1.1\r\n${close}`, 404],
  ["a path that is encoded", `GET /%67raphql HTTP/1.1\r\n${close}`, 404],
  ["a target that is a URL", `GET http://x/graphql HTTP/1.1\r\n${close}`, 400],
  ["a method without meaning", `TRACE / HTTP/1.1\r\n${close}`, 400],
  ["no HTTP at all", "hello there\r\n\r\n", 400],
  ["headers without end", `GET / HTTP/1.1\r\nHost: x\r\nA: ${"x".repeat(20_000)}\r\n\r\n`, 431],
])("what is no plain request is answered with them: %s", async (_what, bytes, expected) => {
  const { status, headers } = await exchange(bytes);
  expect([status, lackingHeaders(headers)]).toEqual([expected, []]);
});

test("over https every answer asks for https for a year", async () => {
  const secure = await startForTest({ publicUrl: "https://vedere.example.com" });
  for (const path of ["/healthz", "/graphql", "/nowhere"]) {
    const { headers } = await fetch(`${secure.url}${path}`);
    expect(headers.get("strict-transport-security")).toBe("max-age=31536000");
    expect(lackingHeaders(headers)).toEqual([]);
  }
});

test("the port of /metrics answers with them, found or not, well or not", async () => {
  const metricsPort = await freePort();
  let isWell = true;
  const { host } = readConfig({}, {});
  const end = await serveMetrics({ host, metricsPort }, async () => {
    if (isWell) return [];
    throw new Error("The store is unwell.");
  });
  onTestFinished(end);
  const url = `http://127.0.0.1:${metricsPort}`;
  const see = async (path: string) => {
    const { status, headers } = await fetch(`${url}${path}`);
    return [status, lackingHeaders(headers)];
  };
  expect(await see("/metrics")).toEqual([200, []]);
  expect(await see("/")).toEqual([404, []]);
  isWell = false;
  expect(await see("/metrics")).toEqual([503, []]);
});
