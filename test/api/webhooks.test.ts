import { lookup } from "node:dns";
import { Webhook } from "standardwebhooks";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { buildGatewaySchema } from "../../api/schema.ts";
import { type AttemptTools, attemptDelivery } from "../../api/webhooks/attempt.ts";
import { type Deliverer, openDeliverer } from "../../api/webhooks/deliverer.ts";
import { openSender } from "../../api/webhooks/send.ts";
import { anyEntry } from "../../core/audit.ts";
import { applyChange } from "../../core/lifecycle.ts";
import { limits } from "../../core/limits.ts";
import type { Ports } from "../../core/ports.ts";
import type { Delivery } from "../../core/webhook.ts";
import { retryDelaysMs } from "../../core/webhook-schedule.ts";
import { mintWebhookSecret } from "../../core/webhook-secret.ts";
import { fakeClock } from "../contract/fake-clock.ts";
import { answered } from "../core/answered.ts";
import { type Receiver, startReceiver } from "../webhook-receiver.ts";
import { runCreate, runInput, startForTest, type TestGateway } from "./start.ts";

const secret = "the secret of the service, of tests";
const day = 86_400_000;

let gateway: TestGateway;
let ports: Ports;
let clock: ReturnType<typeof fakeClock>;
let receiver: Receiver;
beforeEach(async () => {
  clock = fakeClock(Date.now()); // receivers refuse what was signed minutes ago
  const wrap = (real: Ports): Ports => ({ ...real, clock });
  gateway = await startForTest({ secret, fetch: { allowPrivate: true } }, wrap);
  ports = wrap(gateway.ports);
  receiver = await startReceiver();
});

function openForTest(allowPrivate = true, stored = ports): Deliverer {
  return openDeliverer(toolsForTest(allowPrivate, stored));
}

/** The step that notes an attempt which was lost, and no new attempt. */
async function noteDue(delivery: Delivery): Promise<void> {
  await attemptDelivery(toolsForTest(true, ports), delivery);
}

function toolsForTest(allowPrivate: boolean, stored: Ports): AttemptTools {
  const sender = openSender({ allowPrivate, totalMs: 2_000, lookup });
  onTestFinished(() => sender.close());
  const log = {
    info() {},
    error: (fields: object, message: string) =>
      expect.fail(`${message}: ${JSON.stringify(fields)}`),
  };
  return {
    ports: stored,
    schema: buildGatewaySchema(),
    sender,
    secret,
    log,
    random: () => 0,
  };
}

/** The payload of a mutation. */
async function change(name: string, input: object, authorization?: string) {
  const { body } = await gateway.ask(operations[name] ?? "", { input }, authorization);
  expect(body.errors).toBeUndefined();
  return body.data[name];
}

const endpointFields =
  "endpoint { id url description events payloadQuery disabledAt disabledReason failingSince pausedUntil secrets { createdAt expiresAt } }";
const errorFields = "userErrors { path code message fix }";
const mutation = (name: string, type: string, fields: string) =>
  `mutation ($input: ${type}!) { ${name}(input: $input) { ${fields} ${errorFields} } }`;
const operations: Readonly<Record<string, string>> = {
  webhookEndpointCreate: mutation(
    "webhookEndpointCreate",
    "WebhookEndpointCreateInput",
    `secret ${endpointFields}`,
  ),
  webhookEndpointUpdate: mutation(
    "webhookEndpointUpdate",
    "WebhookEndpointUpdateInput",
    endpointFields,
  ),
  webhookEndpointDelete: mutation(
    "webhookEndpointDelete",
    "WebhookEndpointChangeInput",
    "endpointId",
  ),
  webhookEndpointDisable: mutation(
    "webhookEndpointDisable",
    "WebhookEndpointChangeInput",
    endpointFields,
  ),
  webhookEndpointEnable: mutation(
    "webhookEndpointEnable",
    "WebhookEndpointChangeInput",
    endpointFields,
  ),
  webhookSecretRotate: mutation(
    "webhookSecretRotate",
    "WebhookSecretRotateInput",
    `secret ${endpointFields}`,
  ),
  webhookRedeliver: mutation("webhookRedeliver", "WebhookRedeliverInput", "delivery { id status }"),
  webhookRecover: mutation("webhookRecover", "WebhookRecoverInput", "recovered hasMore"),
};

const deliveries = `query ($endpointId: ID, $runId: ID, $status: WebhookDeliveryStatus) {
  webhookDeliveries(endpointId: $endpointId, runId: $runId, status: $status) { edges { node {
    id eventId eventType runId endpointId status nextAttemptAt
    attempts { at durationMs httpStatus error excerpt requestHeaders { name value } responseHeaders { name value } }
  } } }
}`;
async function listed(variables: object = {}, authorization?: string) {
  const { body } = await gateway.ask(deliveries, variables, authorization);
  expect(body.errors).toBeUndefined();
  // biome-ignore lint/suspicious/noExplicitAny: as Answer.body
  return body.data.webhookDeliveries.edges.map(({ node }: any) => node);
}

const createEndpoint = async (input: object = {}) =>
  change("webhookEndpointCreate", { url: receiver.url, ...input });

/** A run of ada's that has ended, by the API and a worker's words. */
async function endedRun(input: object = {}): Promise<string> {
  const { body } = await gateway.ask(runCreate, {
    input: await runInput({ metadata: { order: 7 }, ...input }),
  });
  expect(body.data.runCreate.userErrors).toEqual([]);
  const runId: string = body.data.runCreate.run.id;
  const run = { tenantId: "ada", runId };
  await applyChange(ports, run, { type: "claim" });
  await applyChange(ports, run, {
    type: "finish",
    attempt: 1,
    outcomes: [answered(12)],
    imageTimings: null,
  });
  return runId;
}

/** Delivers and moves the clock on until nothing is to be done any more;  */
async function deliverAll(deliverer: Deliverer): Promise<void> {
  for (;;) {
    await deliverer.drain();
    const [next] = await ports.webhooks.due(Number.MAX_SAFE_INTEGER, 1);
    if (!next) return;
    clock.advance((next.nextAttemptAt ?? 0) - clock.now());
  }
}

describe("a run that ends", () => {
  test("is told to every endpoint that hears of it, signed, thin, and once", async () => {
    const { secret: key } = await createEndpoint();
    await createEndpoint({ events: ["RUN_FAILED"] });
    const runId = await endedRun();
    await openForTest().drain();
    await openForTest().drain();
    expect(receiver.received).toHaveLength(1);
    const [{ headers, body } = { headers: {}, body: "" }] = receiver.received;
    expect(new Webhook(key).verify(body, headers as Record<string, string>)).toEqual({
      type: "run.succeeded",
      timestamp: new Date(clock.now()).toISOString(),
      data: { run: { id: runId, status: "SUCCEEDED", metadata: { order: 7 } } },
    });
    expect(headers["content-type"]).toBe("application/json");
    const [delivery] = await listed();
    expect(delivery).toMatchObject({
      eventId: headers["webhook-id"],
      eventType: "RUN_SUCCEEDED",
      runId,
      status: "SUCCEEDED",
      nextAttemptAt: null,
    });
    expect(delivery.attempts).toMatchObject([{ httpStatus: 204, error: null }]);
  });

  test("is told to the webhook that it names itself, which shapes its payload", async () => {
    const key = mintWebhookSecret();
    const payloadQuery =
      "{ status image { width } tasks { name result { ... on CaptionResult { text } } } model { id } timings { totalMs } }";
    const runId = await endedRun({ webhook: { url: receiver.url, secret: key, payloadQuery } });
    await openForTest().drain();
    const [{ headers, body } = { headers: {}, body: "" }] = receiver.received;
    expect(new Webhook(key).verify(body, headers as Record<string, string>)).toMatchObject({
      data: {
        run: {
          status: "SUCCEEDED",
          tasks: [{ name: "CAPTION", result: {} }],
          model: { id: expect.any(String) },
        },
      },
    });
    expect(await listed({ runId })).toMatchObject([{ endpointId: null, status: "SUCCEEDED" }]);
    expect(JSON.stringify(await ports.runs.get("ada", runId))).not.toContain(key);
  });

  test("and keeps nothing may be deleted once its tasks were delivered, not by a thin payload or a failure", async () => {
    const query = "{ tasks { result { ... on CaptionResult { text } } } }";
    const cases = [
      [204, query, 1],
      [204, null, 0],
      [204, "{ status }", 0],
      [500, query, 0],
    ] as const;
    for (const [answer, payloadQuery, expected] of cases) {
      receiver.answer = answer;
      const webhook = { url: receiver.url, secret: mintWebhookSecret(), payloadQuery };
      const runId = await endedRun({ keep: "NONE", webhook });
      await openForTest().drain();
      const erasable = await ports.runs.erasable(clock.now() + limits.run.readKeptMs, 10);
      expect(erasable.filter(({ id }) => id === runId)).toHaveLength(expected);
    }
  });

  test("canceled or expired is told as well", async () => {
    await createEndpoint();
    for (const type of ["cancel", "expire"] as const) {
      const { body } = await gateway.ask(runCreate, { input: await runInput() });
      await applyChange(ports, { tenantId: "ada", runId: body.data.runCreate.run.id }, { type });
    }
    await openForTest().drain();
    expect(receiver.received.map((each) => JSON.parse(each.body).type).sort()).toEqual([
      "run.canceled",
      "run.expired",
    ]);
  });

  test("is not told to another tenant", async () => {
    await change("webhookEndpointCreate", { url: receiver.url }, `Bearer ${gateway.keys.bob}`);
    await endedRun();
    await openForTest().drain();
    expect(receiver.received).toEqual([]);
    expect(await listed({}, `Bearer ${gateway.keys.bob}`)).toEqual([]);
  });
});

describe("retries", () => {
  test("come by the schedule, with one webhook-id and one body, each signed anew", async () => {
    receiver.answer = 500;
    const { endpoint, secret: key } = await createEndpoint();
    await endedRun();
    const begun = clock.now();
    await deliverAll(openForTest());
    const [delivery] = await listed({ endpointId: endpoint.id });
    expect(delivery).toMatchObject({ status: "FAILED", nextAttemptAt: null });
    const times = delivery.attempts.map(({ at }: { at: string }) => Date.parse(at) - begun);
    expect(times).toEqual(
      retryDelaysMs.map((_, i) =>
        retryDelaysMs.slice(0, i + 1).reduce((sum, each) => sum + each, 0),
      ),
    );
    expect(new Set(receiver.received.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
    expect(new Set(receiver.received.map(({ body }) => body)).size).toBe(1);
    expect(new Set(receiver.received.map(({ headers }) => headers["webhook-timestamp"])).size).toBe(
      10,
    );
    const [first = { body: "", headers: {} }] = receiver.received;
    expect(
      new Webhook(key).verify(first.body, first.headers as Record<string, string>),
    ).toBeTruthy();
  });

  test("stop at the first success", async () => {
    receiver.answer = (response) =>
      response.writeHead(receiver.received.length < 3 ? 503 : 200).end();
    await createEndpoint();
    await endedRun();
    await deliverAll(openForTest());
    expect((await listed())[0]).toMatchObject({
      status: "SUCCEEDED",
      attempts: [{ httpStatus: 503 }, { httpStatus: 503 }, { httpStatus: 200 }],
    });
  });

  test.each([199 + 2, 204, 299])("%i is a success", async (status) => {
    receiver.answer = status;
    await createEndpoint();
    await endedRun();
    await openForTest().drain();
    expect((await listed())[0].status).toBe("SUCCEEDED");
  });

  test.each([300, 301, 302, 307, 308, 400, 404, 429, 500, 503])(
    "%i is a failure, and is not followed",
    async (status) => {
      receiver.answer = (response) =>
        response.writeHead(status, { location: receiver.url }).end("no");
      await createEndpoint();
      await endedRun();
      await openForTest().drain();
      expect(receiver.received).toHaveLength(1);
      expect((await listed())[0]).toMatchObject({
        status: "PENDING",
        attempts: [
          { httpStatus: status, excerpt: "no", error: expect.stringContaining(String(status)) },
        ],
      });
    },
  );

  test("honour Retry-After", async () => {
    receiver.answer = (response) => response.writeHead(429, { "retry-after": "120" }).end();
    await createEndpoint();
    await endedRun();
    await openForTest().drain();
    expect(Date.parse((await listed())[0].nextAttemptAt) - clock.now()).toBe(120_000);
  });

  test("an answer without end is cut off, one that breaks off counts, and a closed port is a failure", async () => {
    receiver.answer = (response) => {
      response.writeHead(200);
      const more = setInterval(() => response.write("x".repeat(10_000)), 1);
      response.on("close", () => clearInterval(more));
    };
    await createEndpoint();
    await createEndpoint({ url: "http://127.0.0.1:1/" });
    await endedRun();
    await openForTest().drain();
    const attempts = (await listed()).flatMap((each: { attempts: object[] }) => each.attempts);
    expect(attempts).toContainEqual(
      expect.objectContaining({ httpStatus: 200, error: null, excerpt: "x".repeat(1_000) }),
    );
    expect(attempts).toContainEqual(
      expect.objectContaining({
        httpStatus: null,
        error: expect.stringContaining("could not be reached"),
      }),
    );
  });

  test("a host name that does not resolve is a failed attempt, with node's own resolver", async () => {
    await createEndpoint({ url: "https://no-such-host.invalid/hook" });
    await endedRun();
    for (const allowPrivate of [true, false]) {
      await openForTest(allowPrivate).drain();
      clock.advance(day);
    }
    const [delivery] = await listed();
    expect(delivery).toMatchObject({ status: "PENDING" });
    const error = "It could not be reached (ENOTFOUND).";
    expect(delivery.attempts).toMatchObject([{ error }, { error }]);
  });

  test("what is logged of an attempt carries no secret", async () => {
    receiver.answer = (response) =>
      response.writeHead(200, { "set-cookie": "session=1", "x-other": "yes" }).end();
    await createEndpoint();
    await endedRun();
    await openForTest().drain();
    const [{ attempts }] = await listed();
    expect(attempts[0].requestHeaders).toContainEqual({
      name: "webhook-signature",
      value: "[redacted]",
    });
    expect(attempts[0].responseHeaders).toContainEqual({ name: "set-cookie", value: "[redacted]" });
    expect(attempts[0].responseHeaders).toContainEqual({ name: "x-other", value: "yes" });
  });

  test("an address that is not public is not dialled, however it was written", async () => {
    await createEndpoint();
    await createEndpoint({ url: receiver.url.replace("127.0.0.1", "localhost") });
    await endedRun();
    await openForTest(false).drain();
    expect(receiver.received).toEqual([]);
    for (const { attempts } of await listed())
      expect(attempts).toMatchObject([
        { httpStatus: null, error: expect.stringMatching(/https|public/) },
      ]);
  });
});

describe("an endpoint that fails", () => {
  test("rests after five failures in a row: what comes meanwhile is put off, then one goes ahead to see", async () => {
    receiver.answer = 500;
    await createEndpoint();
    for (let i = 0; i < 5; i += 1) await endedRun();
    const deliverer = openForTest();
    await deliverer.drain();
    expect(receiver.received).toHaveLength(5);
    await endedRun();
    await deliverer.drain();
    expect(receiver.received).toHaveLength(5);
    clock.advance(30_000);
    receiver.answer = 204;
    await deliverer.drain();
    expect(receiver.received.length).toBeGreaterThan(5);
    await deliverAll(deliverer);
    expect((await listed()).map(({ status }: { status: string }) => status)).toEqual(
      Array(6).fill("SUCCEEDED"),
    );
  });

  test("for five days is disabled, tells the others, and holds what comes until it is recovered", async () => {
    const other = await startReceiver();
    const { endpoint } = await createEndpoint();
    await createEndpoint({ url: other.url, events: ["ENDPOINT_DISABLED"] });
    receiver.answer = 500;
    const since = clock.now();
    await endedRun();
    const deliverer = openForTest();
    await deliverAll(deliverer);
    clock.advance(since + 5 * day - clock.now());
    await endedRun();
    await deliverer.drain();
    expect(other.received.map(({ body }) => JSON.parse(body))).toMatchObject([
      {
        type: "endpoint.disabled",
        data: {
          endpoint: { id: endpoint.id, url: receiver.url },
          reason: expect.stringContaining("failed since"),
        },
      },
    ]);
    await endedRun();
    await deliverAll(deliverer);
    expect(
      (await listed({ endpointId: endpoint.id }))
        .map(({ status }: { status: string }) => status)
        .sort(),
    ).toEqual(["FAILED", "HELD", "HELD"]);

    receiver.answer = 204;
    const before = receiver.received.length;
    const input = { endpointId: endpoint.id, since: new Date(since).toISOString() };
    expect((await change("webhookRecover", input)).userErrors).toMatchObject([
      { code: "INVALID", path: ["input", "endpointId"] },
    ]);
    expect(
      (await change("webhookEndpointEnable", { endpointId: endpoint.id })).endpoint,
    ).toMatchObject({
      disabledAt: null,
      failingSince: null,
    });
    expect(await change("webhookRecover", input)).toMatchObject({ recovered: 3, hasMore: false });
    await deliverAll(deliverer);
    expect(receiver.received.length - before).toBe(3);
    expect((await listed({ status: "SUCCEEDED", endpointId: endpoint.id })).length).toBe(3);
  });

  test("for an hour loses nothing: all that happened meanwhile arrives, each under its own id", async () => {
    receiver.answer = 503;
    await createEndpoint();
    const deliverer = openForTest();
    const down = clock.now();
    for (let minute = 0; minute < 60; minute += 3) {
      await endedRun();
      await deliverer.drain();
      clock.advance(down + (minute + 3) * 60_000 - clock.now());
    }
    const triedInVain = receiver.received.length;
    expect(triedInVain).toBeLessThan(60); // it was left in peace between
    receiver.answer = 204;
    await deliverAll(deliverer);
    const statuses = (await listed()).map(({ status }: { status: string }) => status);
    expect(statuses).toEqual(Array(20).fill("SUCCEEDED"));
    const arrived = receiver.received
      .slice(triedInVain)
      .map(({ headers }) => headers["webhook-id"]);
    expect([arrived.length, new Set(arrived).size]).toEqual([20, 20]);
  });

  test("with 410 is disabled at once", async () => {
    receiver.answer = 410;
    const { endpoint } = await createEndpoint();
    await endedRun();
    await openForTest().drain();
    const { body } = await gateway.ask(
      "query ($id: ID!) { webhookEndpoint(id: $id) { disabledReason } }",
      { id: endpoint.id },
    );
    expect(body.data.webhookEndpoint.disabledReason).toContain("410");
    expect((await listed())[0].status).toBe("FAILED");
    const filter = { ...anyEntry, action: "webhookEndpoint.disable" as const };
    const { entries } = await gateway.ports.audit.list({ ...filter, first: 9, after: null });
    expect(entries).toMatchObject([
      {
        actor: { kind: "SERVICE", keyId: null },
        subject: { id: endpoint.id, tenantId: "ada" },
        details: { reason: expect.stringContaining("410") },
      },
    ]);
  });
});

test("a host that the tenant's limit excludes since then gets nothing", async () => {
  await createEndpoint();
  await endedRun();
  await ports.tenants.setLimits("ada", { webhookHosts: ["hooks.example.com"] });
  await openForTest().drain();
  expect(receiver.received).toEqual([]);
  const [delivery] = await listed();
  expect(delivery).toMatchObject({ status: "FAILED", nextAttemptAt: null });
  expect(delivery.attempts[0].error).toContain("webhookHosts");
  await ports.tenants.setLimits("ada", { webhookHosts: null });
  await change("webhookRedeliver", { deliveryId: delivery.id });
  await openForTest().drain();
  expect((await listed())[0].status).toBe("SUCCEEDED");
});

describe("by hand", () => {
  test("a delivery is sent again under the same webhook-id", async () => {
    await createEndpoint();
    await endedRun();
    await openForTest().drain();
    const [delivery] = await listed();
    expect(await change("webhookRedeliver", { deliveryId: delivery.id })).toMatchObject({
      delivery: { status: "PENDING" },
      userErrors: [],
    });
    await openForTest().drain();
    expect(receiver.received.map(({ headers }) => headers["webhook-id"])).toEqual([
      delivery.eventId,
      delivery.eventId,
    ]);
  });

  test("a rotated secret signs beside the former one, until that has ended", async () => {
    const { endpoint, secret: former } = await createEndpoint();
    const { secret: fresh, endpoint: rotated } = await change("webhookSecretRotate", {
      endpointId: endpoint.id,
      overlapSeconds: 60,
    });
    expect(rotated.secrets).toMatchObject([
      { expiresAt: null },
      { expiresAt: new Date(clock.now() + 60_000).toISOString() },
    ]);
    const verify = (key: string) => {
      const { body, headers } = receiver.received.at(-1) ?? { body: "", headers: {} };
      return () => new Webhook(key).verify(body, headers as Record<string, string>);
    };
    await endedRun();
    await openForTest().drain();
    for (const key of [former, fresh]) expect(verify(key)()).toBeTruthy();
    clock.advance(60_000);
    await endedRun();
    await openForTest().drain();
    expect(verify(fresh)()).toBeTruthy();
    expect(verify(former)).toThrow();
  });

  test("a dry run shows exactly what would be sent, and sends nothing", async () => {
    const { endpoint, secret: key } = await createEndpoint({
      payloadQuery: "{ id tasks { name } }",
    });
    const runId = await endedRun();
    const dryRun =
      "query ($endpointId: ID!, $runId: ID!) { webhookDryRun(endpointId: $endpointId, runId: $runId) { url body headers { name value } } }";
    const { body } = await gateway.ask(dryRun, { endpointId: endpoint.id, runId });
    expect(receiver.received).toEqual([]);
    const shown = body.data.webhookDryRun;
    const headers = Object.fromEntries(
      shown.headers.map(({ name, value }: { name: string; value: string }) => [name, value]),
    );
    expect(new Webhook(key).verify(shown.body, headers)).toBeTruthy();
    await openForTest().drain();
    expect(receiver.received).toMatchObject([{ body: shown.body, headers }]);
    const { body: other } = await gateway.ask(
      dryRun,
      { endpointId: endpoint.id, runId },
      `Bearer ${gateway.keys.bob}`,
    );
    expect(other.data.webhookDryRun).toBeNull();
  });

  test("an endpoint is changed, and deleted for good", async () => {
    const { endpoint } = await createEndpoint({ payloadQuery: "{ id }" });
    const changed = await change("webhookEndpointUpdate", {
      endpointId: endpoint.id,
      payloadQuery: null,
      description: "orders",
      events: ["RUN_FAILED"],
    });
    expect(changed.endpoint).toEqual({
      ...endpoint,
      payloadQuery: null,
      description: "orders",
      events: ["RUN_FAILED"],
    });
    await change("webhookEndpointUpdate", { endpointId: endpoint.id, events: ["RUN_SUCCEEDED"] });
    receiver.answer = 500;
    await endedRun();
    const deliverer = openForTest();
    await deliverer.drain();
    expect(await change("webhookEndpointDelete", { endpointId: endpoint.id })).toMatchObject({
      endpointId: endpoint.id,
      userErrors: [],
    });
    await deliverAll(deliverer);
    expect((await listed())[0]).toMatchObject({
      status: "FAILED",
      attempts: [{}, { error: "The endpoint was removed." }],
    });
  });
});

describe("what cannot be taken", () => {
  test.each([
    ["no URL", { url: "receiver" }, "url"],
    ["another scheme", { url: "ftp://example.com/" }, "url"],
    ["credentials", { url: "https://a:b@example.com/" }, "url"],
    ["an endless URL", { url: `https://example.com/${"x".repeat(3_000)}` }, "url"],
    ["a weak secret", { secret: "whsec_c2hvcnQ=" }, "secret"],
    ["no events", { events: [] }, "events"],
    ["a long description", { description: "x".repeat(201) }, "description"],
    ["a payload query that is none", { payloadQuery: "id status" }, "payloadQuery"],
    [
      "a payload query that breaks out",
      { payloadQuery: "{ id } } query Other { viewer { keyId }" },
      "payloadQuery",
    ],
    ["two payload queries", { payloadQuery: "{ id } { id }" }, "payloadQuery"],
    ["an unknown field", { payloadQuery: "{ id secret }" }, "payloadQuery"],
    ["variables", { payloadQuery: "{ node(id: $id) { id } }" }, "payloadQuery"],
    ["a mutation", { payloadQuery: "mutation { runCancel }" }, "payloadQuery"],
    [
      "fragments without end",
      { payloadQuery: "{ ...A } fragment A on Run { ...A }" },
      "payloadQuery",
    ],
    [
      "too many aliases",
      { payloadQuery: `{ ${Array.from({ length: 31 }, (_, i) => `a${i}: id`).join(" ")} }` },
      "payloadQuery",
    ],
    ["too much", { payloadQuery: `{ ${"id ".repeat(2_000)} }` }, "payloadQuery"],
  ])("%s is refused in its place, without suggestions", async (_what, input, place) => {
    const { endpoint, secret: key, userErrors } = await createEndpoint(input);
    expect([endpoint, key]).toEqual([null, null]);
    expect(userErrors).toMatchObject([{ code: "INVALID", path: ["input", place] }]);
    expect(JSON.stringify(userErrors)).not.toContain("Did you mean");
  });

  test("a run's webhook is refused in its place, all at once", async () => {
    const { body } = await gateway.ask(runCreate, {
      input: await runInput({ webhook: { url: "x", secret: "y", payloadQuery: "z" } }),
    });
    expect(
      body.data.runCreate.userErrors.map(({ path }: { path: string[] }) => path.join(".")),
    ).toEqual(["input.webhook.url", "input.webhook.payloadQuery", "input.webhook.secret"]);
  });

  test("a private address is refused at once, where none are allowed", async () => {
    const strict = await startForTest({ secret });
    const { body } = await strict.ask(operations.webhookEndpointCreate ?? "", {
      input: { url: "https://169.254.169.254/latest" },
    });
    expect(body.data.webhookEndpointCreate.userErrors).toMatchObject([
      { code: "INVALID", path: ["input", "url"] },
    ]);
  });

  test("the 21st endpoint is refused", async () => {
    for (let i = 0; i < 20; i += 1) await createEndpoint();
    expect((await createEndpoint()).userErrors).toMatchObject([
      { code: "INVALID", fix: expect.stringContaining("Delete") },
    ]);
  });

  test.each([
    ["webhookEndpointUpdate", { endpointId: "whe_x" }],
    ["webhookEndpointDelete", { endpointId: "whe_x" }],
    ["webhookEndpointDisable", { endpointId: "whe_x" }],
    ["webhookEndpointEnable", { endpointId: "whe_x" }],
    ["webhookSecretRotate", { endpointId: "whe_x" }],
    ["webhookRedeliver", { deliveryId: "dlv_x" }],
    ["webhookRecover", { endpointId: "whe_x", since: "2026-01-01T00:00:00Z" }],
  ])("%s of what is not there is NOT_FOUND", async (name, input) => {
    expect((await change(name, input)).userErrors).toMatchObject([{ code: "NOT_FOUND" }]);
  });

  test("a payload that grew too large, or fits the schema no more, is sent thin, with the reason", async () => {
    const { endpoint } = await createEndpoint({ payloadQuery: "{ id metadata }" });
    const stored = await ports.webhooks.getEndpoint("ada", endpoint.id);
    if (!stored) throw new Error("It was created.");
    await ports.webhooks.replaceEndpoint(
      { ...stored, version: stored.version + 1, payloadQuery: "{ formerField }" },
      null,
    );
    const runId = await endedRun();
    await openForTest().drain();
    expect(JSON.parse(receiver.received[0]?.body ?? "")).toMatchObject({
      data: {
        run: { id: runId, status: "SUCCEEDED" },
        payloadError: expect.stringContaining("formerField"),
      },
    });
  });
});

describe("two deliverers", () => {
  test("send each delivery once", async () => {
    await createEndpoint();
    for (let i = 0; i < 20; i += 1) await endedRun();
    const [one, other] = [openForTest(), openForTest()];
    while (
      (await ports.webhooks.outbox(1)).length +
        (await ports.webhooks.due(Number.MAX_SAFE_INTEGER, 1)).length >
      0
    ) {
      await Promise.all([one.drain(), other.drain()]);
      clock.advance(1_000);
    }
    expect(receiver.received).toHaveLength(20);
    expect(new Set(receiver.received.map(({ headers }) => headers["webhook-id"])).size).toBe(20);
  });

  test("a delivery whose deliverer died is made by another after a minute, under the same id", async () => {
    await createEndpoint();
    await endedRun();
    const [event] = await ports.webhooks.outbox(1);
    await openForTest().drain();
    const [delivery] = await ports.webhooks.due(Number.MAX_SAFE_INTEGER, 1);
    expect(delivery).toBeUndefined();
    const [{ id }] = await listed();
    const done = await ports.webhooks.getDelivery("ada", id);
    if (!done) throw new Error("It was delivered.");
    await ports.webhooks.replaceDelivery({
      ...done,
      version: done.version + 1,
      status: "PENDING",
      nextAttemptAt: clock.now() + 60_000,
    });
    await openForTest().drain();
    expect(receiver.received).toHaveLength(1);
    clock.advance(60_000);
    await openForTest().drain();
    expect(receiver.received.map(({ headers }) => headers["webhook-id"])).toEqual([
      event?.id,
      event?.id,
    ]);
  });

  test("an attempt that ended its process counts as a try, so that no delivery ends processes for ever", async () => {
    await createEndpoint();
    await endedRun();
    const error = "The process that made this attempt ended before the attempt did.";
    // A process that dies in the middle of its attempt has stored its claim, and stores nothing
    // afterwards.
    const never = new Promise<boolean>(() => {});
    const dying: Ports = {
      ...ports,
      webhooks: {
        ...ports.webhooks,
        replaceDelivery: (delivery) =>
          delivery.attemptBegunAt != null || delivery.attempts.at(-1)?.error === error
            ? ports.webhooks.replaceDelivery(delivery)
            : never,
      },
    };
    for (let tries = 1; tries <= retryDelaysMs.length; tries += 1) {
      void openForTest(true, dying).drain();
      await expect.poll(() => receiver.received.length).toBe(tries);
      const [claimed] = await listed();
      expect(claimed).toMatchObject({ status: "PENDING", nextAttemptAt: expect.any(String) });
      expect(claimed.attempts.map((each: { error: string }) => each.error)).toEqual(
        Array.from({ length: tries - 1 }, () => error),
      );
      const begunAt = clock.now();
      clock.advance(60_000); // from now on its deliverer is taken for dead
      const [due] = await ports.webhooks.due(clock.now(), 1);
      if (!due) throw new Error("The delivery is not due.");
      await noteDue(due);
      const nextAt = begunAt + (retryDelaysMs[tries] ?? 0);
      if (clock.now() < nextAt) clock.advance(nextAt - clock.now());
    }
    const [given] = await listed();
    expect(given).toMatchObject({ status: "FAILED", nextAttemptAt: null });
    expect(given.attempts).toHaveLength(retryDelaysMs.length);
    await openForTest().drain();
    expect(receiver.received).toHaveLength(retryDelaysMs.length);
  });

  test("run until they are stopped, and hear of a run's end at once", async () => {
    await createEndpoint();
    const stop = new AbortController();
    const running = openForTest().run(stop.signal);
    const arrived = new Promise<void>((resolve) => {
      receiver.answer = (response) => {
        response.writeHead(204).end();
        resolve();
      };
    });
    await endedRun();
    await arrived;
    stop.abort();
    await running;
    expect((await listed())[0].status).toBe("SUCCEEDED");
  });
});
