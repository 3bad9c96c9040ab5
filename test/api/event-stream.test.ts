import { createClient } from "graphql-sse";
import { afterAll, beforeAll, expect, test } from "vitest";
import { applyChange } from "../../core/lifecycle.ts";
import { runCreate, runInput, send, startGateway, type TestGateway } from "./start.ts";

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.close());

const newRun = async (from = gateway): Promise<string> =>
  (await from.ask(runCreate, { input: await runInput() })).body.data.runCreate.run.id;

const query =
  "subscription ($id: ID!) { runProgress(id: $id) { id status tasks { name error { code } } } }";

const post = (body: object, init: RequestInit = {}, key = gateway.keys.ada, url = gateway.url) =>
  fetch(`${url}/graphql/stream`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
    body: JSON.stringify(body),
    ...init,
  });

const change = (runId: string, ...args: [Parameters<typeof applyChange>[2]]) =>
  applyChange(gateway.ports, { tenantId: "ada", runId }, ...args);

test("graphql-sse's own client sees the run now, at every change, and its end", async () => {
  const id = await newRun();
  const client = createClient({
    url: `${gateway.url}/graphql/stream`,
    headers: { authorization: `Bearer ${gateway.keys.ada}` },
    retryAttempts: 0,
  });
  const seen: unknown[] = [];
  for await (const { data, errors } of client.iterate({ query, variables: { id } })) {
    expect(errors).toBeUndefined();
    seen.push(data?.runProgress);
    if (seen.length === 1) await change(id, { type: "claim" });
    if (seen.length === 2) await change(id, { type: "cancel" });
  }
  expect(seen).toEqual([
    { id, status: "QUEUED", tasks: [{ name: "CAPTION", error: null }] },
    { id, status: "PROCESSING", tasks: [{ name: "CAPTION", error: null }] },
    { id, status: "CANCELED", tasks: [{ name: "CAPTION", error: { code: "CANCELED" } }] },
  ]);
});

test("a finished run is one event and the end", async () => {
  const id = await newRun();
  await change(id, { type: "cancel" });
  const response = await post({ query, variables: { id } });
  expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  const events = (await response.text()).split("\n\n").filter((event) => event.startsWith("event"));
  expect(events).toEqual([
    expect.stringMatching(/^event: next\ndata: \{"data":\{"runProgress":.*CANCELED/),
    "event: complete\ndata:",
  ]);
});

test.each([
  ["an unknown run", { query, variables: { id: "run_unknown" } }, "NOT_FOUND"],
  ["a syntax error", { query: "subscription {" }, "GRAPHQL_VALIDATION_FAILED"],
  [
    "an unknown field",
    { query: 'subscription { runProgres(id: "x") { id } }' },
    "GRAPHQL_VALIDATION_FAILED",
  ],
  [
    "too many aliases",
    {
      query: `subscription { runProgress(id: "x") { ${Array.from({ length: 31 }, (_, i) => `a${i}: id`).join(" ")} } }`,
    },
    "31 aliases",
  ],
  [
    "too many tokens",
    { query: `subscription { runProgress(id: "x") { ${"id ".repeat(2_100)} } }` },
    "2000 tokens",
  ],
  ["a variable of another type", { query, variables: { id: {} } }, "GRAPHQL_VALIDATION_FAILED"],
  ["a query", { query: "{ viewer { keyId } }" }, "BAD_REQUEST"],
  [
    "a mutation",
    { query: 'mutation { runCancel(input: { runId: "x" }) { run { id } } }' },
    "BAD_REQUEST",
  ],
])("%s is answered with its error and the end", async (_what, body, expected) => {
  const text = await (await post(body)).text();
  expect(text).toContain(expected);
  expect(text).not.toMatch(/did you mean|"data":\{/i);
  expect(text.match(/event: next/g)).toHaveLength(1);
  expect(text).toMatch(/event: complete\ndata:\n\n$/);
});

test("another tenant's run is answered like an unknown one", async () => {
  const id = await newRun();
  const [theirs, unknown] = await Promise.all(
    [id, "run_unknown"].map(async (runId) =>
      (await post({ query, variables: { id: runId } }, {}, gateway.keys.bob)).text(),
    ),
  );
  expect(theirs).toBe(unknown);
});

test("the event stream keeps the gateway's rules on method, type and size", async () => {
  expect((await send(`${gateway.url}/graphql/stream`, { method: "PUT", body: "x" })).status).toBe(
    405,
  );
  expect((await post({ query: `#${"x".repeat(65_536)}` })).status).toBe(400);
});

test("who hangs up is no longer waited for", async () => {
  let waits = 0;
  const own = await startGateway({}, (ports) => ({
    ...ports,
    runs: {
      ...ports.runs,
      changed: async (...args) => {
        waits += 1;
        await ports.runs.changed(...args);
        waits -= 1;
      },
    },
  }));
  const hangUp = new AbortController();
  const id = await newRun(own);
  const response = await post(
    { query, variables: { id } },
    { signal: hangUp.signal },
    own.keys.ada,
    own.url,
  );
  await response.body?.getReader().read();
  await expect.poll(() => waits).toBe(1);
  hangUp.abort();
  await expect.poll(() => waits).toBe(0);
  await own.close();
});

test("closing the server ends event streams without an end event, and answers who waits, at once", async () => {
  const own = await startGateway();
  const id = await newRun(own);
  const response = await post({ query, variables: { id } }, {}, own.keys.ada, own.url);
  const stream = response.text().then(
    (text) => text,
    () => "broken off",
  );
  const waiting = own.ask(runCreate, { input: await runInput({ waitMs: 60_000 }) });
  await expect.poll(async () => (await own.ports.queue.depth()).visible).toBe(2);
  const started = performance.now();
  await own.close();
  expect(performance.now() - started).toBeLessThan(900);
  expect(await stream).toBe("broken off");
  expect((await waiting).body.data.runCreate.run.status).toBe("QUEUED");
});
