import { request } from "node:http";
import { text as textOf } from "node:stream/consumers";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { openWaits } from "../../api/open-waits.ts";
import type { Ports } from "../../core/ports.ts";
import { type ApiKey, mintKey } from "../../core/tenant.ts";
import { grantOf } from "../core/new-key.ts";
import { runCreate, runInput, startGateway, type TestGateway } from "./start.ts";

const pepper = "pepper";
const perKey = 3;
let gateway: TestGateway;
let lookups: string[];
/** How far the gateway's clock is ahead. */
let aheadMs: number;
beforeEach(async () => {
  lookups = [];
  aheadMs = 0;
  const counting = (ports: Ports): Ports => ({
    ...ports,
    clock: { now: () => Date.now() + aheadMs },
    tenants: {
      ...ports.tenants,
      findKey: (keyId) => {
        lookups.push(keyId);
        return ports.tenants.findKey(keyId);
      },
    },
  });
  gateway = await startGateway({ secret: pepper, openWaitsPerKey: perKey }, counting);
  onTestFinished(() => gateway.close());
});

async function newKey(expiresAt: number | null = null): Promise<{ text: string; key: ApiKey }> {
  const minted = mintKey(grantOf("ada", { expiresAt }), pepper, 0);
  await gateway.ports.tenants.createKey(minted.key);
  return minted;
}

const newRun = async (): Promise<string> =>
  (await gateway.ask(runCreate, { input: await runInput() })).body.data.runCreate.run.id;

/** Opens a subscription, resolves with its first event read, and reads on. */
async function follow(runId: string, keyText: string) {
  const leaving = new AbortController();
  const response = await fetch(`${gateway.url}/graphql/stream`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${keyText}` },
    body: JSON.stringify({ query: `subscription { runProgress(id: "${runId}") { status } }` }),
    signal: leaving.signal,
  });
  const reader = response.body?.getReader();
  if (!reader) throw new Error("There is no stream.");
  let seen = "";
  const readUntil = async (part: string) => {
    while (!seen.includes(part)) {
      const { value, done } = await reader.read();
      if (done) break;
      seen += Buffer.from(value).toString();
    }
    return seen;
  };
  await readUntil("event: ");
  return { rest: () => readUntil("no such text"), leave: () => leaving.abort(), first: seen };
}

const poll = async (keyText: string, waitMs = 60_000) =>
  gateway.ask(
    runCreate,
    { input: { ...(await runInput({ waitMs, idempotencyKey: `${Math.random()}` })) } },
    `Bearer ${keyText}`,
  );

/** Until the key has an open wait: it is looked up again and again. */
const untilWaiting = (keyId: string) =>
  expect
    .poll(() => lookups.filter((id) => id === keyId).length, { timeout: 10_000 })
    .toBeGreaterThan(1);

/** As if it had been replaced without a grace time. */
function expireNow({ id }: ApiKey): Promise<boolean> {
  const { key: fresh } = mintKey(grantOf("ada"), pepper, 0);
  return gateway.ports.tenants.replaceKey(fresh, { keyId: id, expiresAt: Date.now() });
}

const ends: [string, (key: ApiKey) => Promise<unknown>][] = [
  ["is revoked", (key) => gateway.ports.tenants.revokeKey("ada", key.id, Date.now())],
  ["expires", (key) => expireNow(key)],
  ["belongs to a tenant that is disabled", () => gateway.ports.tenants.setDisabled("ada", 1)],
];

describe.each(ends)("a key that %s", (_name, end) => {
  test("ends its subscriptions with UNAUTHENTICATED and complete, before another event", async () => {
    const { text, key } = await newKey();
    const stream = await follow(await newRun(), text);
    expect(stream.first).toContain("QUEUED");
    await end(key);
    const events = (await stream.rest()).split("\n\n").filter((each) => each.startsWith("event"));
    expect(events).toHaveLength(3);
    expect(events[1]).toContain('"code":"UNAUTHENTICATED"');
    expect(events[2]).toBe("event: complete\ndata:");
  });

  test("ends its long polls as a request without a key", async () => {
    const { text, key } = await newKey();
    const answer = poll(text);
    await untilWaiting(key.id);
    await end(key);
    const { status, body, headers } = await answer;
    expect([status, headers.get("www-authenticate")]).toEqual([401, 'Bearer realm="vedere"']);
    expect(body).toEqual((await gateway.ask("{ viewer { keyId } }", {}, `Bearer ${text}`)).body);
  });
});

test("a result that comes right after the key was revoked is not delivered", async () => {
  const { text, key } = await newKey();
  const runId = await newRun();
  const stream = await follow(runId, text);
  await gateway.ports.tenants.revokeKey("ada", key.id, Date.now());
  await gateway.ask(`mutation { runCancel(input: { runId: "${runId}" }) { run { id } } }`);
  const all = await stream.rest();
  expect(all).toContain("UNAUTHENTICATED");
  expect(all).not.toContain("CANCELED");
});

test("a key that is revoked while its request's body comes slowly is refused", async () => {
  const { text, key } = await newKey();
  const body = JSON.stringify({ query: "{ viewer { keyId } }" });
  const answer = new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
    const sent = request(
      `${gateway.url}/graphql`,
      {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${text}` },
      },
      async (response) => resolve({ status: response.statusCode, body: await textOf(response) }),
    ).on("error", reject);
    sent.write(body.slice(0, 5));
    expect
      .poll(() => lookups.includes(key.id))
      .toBe(true)
      .then(async () => {
        await gateway.ports.tenants.revokeKey("ada", key.id, 1);
        aheadMs = 2_000; // a look at the key holds for a second
        sent.end(body.slice(5));
      })
      .catch(reject);
  });
  expect((await answer).status).toBe(401);
});

describe("open waits of one key", () => {
  test("have a limit that subscriptions and long polls share; a place comes back when one ends", async () => {
    const { text } = await newKey();
    const runId = await newRun();
    const open = [];
    for (let i = 0; i < perKey; i += 1) open.push(await follow(runId, text));
    const refused = await follow(runId, text);
    expect(await refused.rest()).toMatch(/RATE_LIMITED[\s\S]*event: complete/);
    const { unfinished, answer } = { unfinished: await count(), answer: await poll(text) };
    expect(answer.body.data.runCreate).toMatchObject({
      run: null,
      userErrors: [
        {
          code: "RATE_LIMITED",
          path: ["input", "waitMs"],
          message: expect.stringContaining(String(perKey)),
          fix: expect.stringContaining("waitMs: 0"),
        },
      ],
    });
    expect(await count()).toBe(unfinished); // nothing was created
    expect((await poll(text, 0)).body.data.runCreate.run.status).toBe("QUEUED");
    const { text: other } = await newKey();
    (await follow(runId, other)).leave();
    open[0]?.leave();
    await expect
      .poll(async () => {
        const next = await follow(runId, text);
        return next.first.includes("QUEUED");
      })
      .toBe(true);
    for (const stream of open) stream.leave();
  });

  test("count together with those of the key's sessions, and each gives one place back", () => {
    const waits = openWaits(gateway.ports, { perKeyMax: 2, onFault() {} });
    const gone = new AbortController().signal;
    const byKey = waits.open({ keyId: "key", session: null }, gone);
    const bySession = waits.open({ keyId: "key", session: "one" }, gone);
    const third = () => waits.open({ keyId: "key", session: "two" }, gone);
    expect(third).toThrow(expect.objectContaining({ code: "RATE_LIMITED" }));
    waits.open({ keyId: "other", session: null }, gone).end();
    bySession.end();
    bySession.end(); // twice gives one place back
    third().end();
    third();
    expect(third).toThrow(expect.objectContaining({ code: "RATE_LIMITED" }));
    byKey.end();
    third();
  });

  test("cost one look at the key together", async () => {
    const { text, key } = await newKey();
    const runId = await newRun();
    const open = await Promise.all(Array.from({ length: perKey }, () => follow(runId, text)));
    const before = lookups.filter((id) => id === key.id).length;
    await expect
      .poll(() => lookups.filter((id) => id === key.id).length - before, { interval: 20 })
      .toBe(1);
    for (const stream of open) stream.leave();
  });
});

const count = () => gateway.ports.runs.countUnfinished("ada");
