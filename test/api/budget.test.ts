import { describe, expect, test } from "vitest";
import { plannedCost } from "../../core/budget.ts";
import type { Ports } from "../../core/ports.ts";
import { picture } from "../picture.ts";
import { runCreate, runInput, startForTest } from "./start.ts";

const rate = { unitsPerSecond: 10, burstUnits: 300 };
const caption = plannedCost([{ name: "CAPTION", input: {} }]); // 160
const limit = "{ viewer { rateLimit { capacity remaining restorePerSecond resetAt } } }";

/** A gateway whose clock stands still until it is moved. */
async function startAt(now: { ms: number }, work: object) {
  const frozen = (ports: Ports): Ports => ({ ...ports, clock: { now: () => now.ms } });
  return startForTest({ work }, frozen);
}

describe("the rate limit", () => {
  test("takes what a run is planned to cost, and refuses with the time to wait", async () => {
    const now = { ms: 1_000_000 };
    const gateway = await startAt(now, rate);
    const create = async () =>
      gateway.ask(runCreate.replace("message fix", "message fix retryAfterMs"), {
        input: await runInput(),
      });
    const first = (await create()).body;
    expect(first.extensions.cost).toEqual({
      requested: caption,
      actual: caption,
      remaining: 300 - caption,
      restorePerSecond: 10,
      resetAt: new Date(now.ms + caption * 100).toISOString(),
    });
    const second = (await create()).body;
    const waitMs = (2 * caption - 300) * 100;
    expect(second.data.runCreate).toMatchObject({
      run: null,
      userErrors: [{ code: "RATE_LIMITED", path: ["input"], retryAfterMs: waitMs }],
    });
    expect(second.extensions.cost).toMatchObject({
      requested: caption,
      actual: 0,
      remaining: 300 - caption,
    });
    now.ms += waitMs - 1;
    expect((await create()).body.data.runCreate.run).toBeNull();
    now.ms += 1;
    expect((await create()).body.data.runCreate.run.status).toBe("QUEUED");
    const { rateLimit } = (await gateway.ask(limit)).body.data.viewer;
    expect(rateLimit).toEqual({
      capacity: 300,
      remaining: 0,
      restorePerSecond: 10,
      resetAt: new Date(now.ms + 30_000).toISOString(),
    });
  });

  test("is a tenant's own", async () => {
    const gateway = await startAt({ ms: 0 }, rate);
    await gateway.ask(runCreate, { input: await runInput() });
    const { body } = await gateway.ask(limit, {}, `Bearer ${gateway.keys.bob}`);
    expect(body.data.viewer.rateLimit.remaining).toBe(300);
  });

  test("does not charge a replay or a run that could not be stored", async () => {
    const now = { ms: 0 };
    let broken = false;
    const gateway = await startForTest({ work: { ...rate, burstUnits: 10_000 } }, (ports) => ({
      ...ports,
      clock: { now: () => now.ms },
      runs: {
        ...ports.runs,
        create: (...args) =>
          broken ? Promise.reject(new Error("disk")) : ports.runs.create(...args),
      },
    }));
    const input = await runInput({ idempotencyKey: "once" });
    const left = async () => (await gateway.ask(limit)).body.data.viewer.rateLimit.remaining;
    await gateway.ask(runCreate, { input });
    expect(await left()).toBe(10_000 - caption);
    expect((await gateway.ask(runCreate, { input })).body).toMatchObject({
      data: { runCreate: { replayed: true } },
    });
    broken = true;
    expect(
      (await gateway.ask(runCreate, { input: await runInput() })).body.errors[0].extensions.code,
    ).toBe("INTERNAL");
    expect(await left()).toBe(10_000 - caption);
  });

  test("reckons with the input, however the document spells it", async () => {
    const gateway = await startAt({ ms: 0 }, { ...rate, burstUnits: 100_000 });
    const source = `{ base64: "${(await picture()).toString("base64")}" }`;
    const payload = "{ userErrors { code } }";
    const tasks = [{ caption: {} }, { readText: {} }];
    const spelled = [
      [
        `mutation { runCreate(input: { source: ${source}, tasks: [{ caption: {} }, { readText: {} }] }) ${payload} }`,
        {},
      ],
      [
        `mutation ($tasks: [TaskInput!]!) { runCreate(input: { source: ${source}, tasks: $tasks }) ${payload} }`,
        { tasks },
      ],
      [
        `mutation ($t: [TaskInput!]! = [{ caption: {} }, { readText: {} }]) { runCreate(input: { source: ${source}, tasks: $t }) ${payload} }`,
        {},
      ],
      [
        `mutation { ...Made } fragment Made on Mutation { runCreate(input: { source: ${source}, tasks: [{ caption: {} }, { readText: {} }] }) ${payload} }`,
        {},
      ],
      [
        `mutation ($yes: Boolean!) { runCreate(input: { source: ${source}, tasks: [{ caption: {} }, { readText: {} }] }) @include(if: $yes) ${payload} }`,
        { yes: true },
      ],
    ] as const;
    for (const [query, variables] of spelled) {
      const { body } = await gateway.ask(query, variables);
      expect(body.errors).toBeUndefined();
      expect(body.extensions.cost.requested, query).toBe(
        plannedCost([
          { name: "CAPTION", input: {} },
          { name: "READ_TEXT", input: {} },
        ]),
      );
    }
    const twice = `mutation { a: runCreate(input: { source: ${source}, tasks: [{ caption: {} }] }) ${payload} b: runCreate(input: { source: ${source}, tasks: [{ caption: {} }] }) ${payload} }`;
    expect((await gateway.ask(twice)).body.extensions.cost).toMatchObject({
      requested: 2 * caption,
      actual: 2 * caption,
    });
  });

  test("is not there where none is set, and a question about nothing costs nothing", async () => {
    const gateway = await startForTest();
    expect((await gateway.ask(limit)).body).toEqual({ data: { viewer: { rateLimit: null } } });
    const { body } = await gateway.ask(runCreate, { input: await runInput() });
    expect(body.extensions.cost).toEqual({
      requested: caption,
      actual: caption,
      remaining: null,
      restorePerSecond: null,
      resetAt: null,
    });
  });
});

test("a month's quota ends with what the ledger holds, and comes back with the next month", async () => {
  const now = { ms: Date.UTC(2026, 0, 31, 23) };
  let used = 0;
  const gateway = await startForTest({ work: { unitsPerMonth: 1_000 } }, (ports) => ({
    ...ports,
    clock: { now: () => now.ms },
    runs: {
      ...ports.runs,
      usage: async (_tenantId, { from }) => ({
        runs: 0,
        tasks: 0,
        encodings: 0,
        tokens: 0,
        cost: from === Date.UTC(2026, 0, 1) ? used : 0,
      }),
    },
  }));
  const ask = async () =>
    (
      await gateway.ask(runCreate.replace("message fix", "message retryAfterMs"), {
        input: await runInput(),
      })
    ).body.data.runCreate;
  used = 1_000 - caption;
  expect((await ask()).userErrors).toEqual([]);
  used += 1;
  expect((await ask()).userErrors).toMatchObject([
    { code: "QUOTA_EXCEEDED", retryAfterMs: 3_600_000 },
  ]);
  now.ms += 3_600_000;
  expect((await ask()).userErrors).toEqual([]);
});

test("a tenant's unfinished runs are capped as the operator says", async () => {
  const gateway = await startForTest({ work: { unfinishedRuns: 1 } });
  const ask = async (key: string) =>
    (await gateway.ask(runCreate, { input: await runInput() }, `Bearer ${key}`)).body.data
      .runCreate;
  expect((await ask(gateway.keys.ada)).userErrors).toEqual([]);
  expect((await ask(gateway.keys.ada)).userErrors).toMatchObject([{ code: "QUEUE_FULL" }]);
  expect((await ask(gateway.keys.bob)).userErrors).toEqual([]);
});
