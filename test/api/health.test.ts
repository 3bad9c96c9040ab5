import { expect, test } from "vitest";
import { type ProcessHealth, readinessOf } from "../../api/health.ts";
import { AppError } from "../../core/errors.ts";
import type { Ports } from "../../core/ports.ts";
import { send, startForTest } from "./start.ts";

const quiet = { info() {}, error() {} };

async function readiness(
  states: readonly ProcessHealth["workers"][number]["state"][],
  restarts: ProcessHealth["restarts"] = [],
) {
  const { ports } = await startForTest();
  const workers = states.map((state, i) => ({ name: `worker ${i + 1}`, state }));
  const response = await readinessOf(ports, quiet)({ workers, restarts });
  const body = (await response.json()) as { reasons: string[] };
  return { status: response.status, body };
}

test.each([
  ["without workers of its own", [], 200, 0],
  ["while they start", ["STARTING", "STARTING"], 200, 0],
  ["while one of two is silent, with a reason", ["ALIVE", "SILENT"], 200, 1],
  ["while one of two is down, with a reason", ["DOWN", "ALIVE"], 200, 1],
  ["not if the only one is silent", ["SILENT"], 503, 1],
  ["not if all are down or silent", ["DOWN", "SILENT"], 503, 2],
] as const)("a gateway is ready %s", async (_when, states, status, reasons) => {
  const answer = await readiness(states);
  expect(answer).toMatchObject({ status, body: { ready: status === 200 } });
  expect(answer.body.reasons).toHaveLength(reasons);
});

test("restarts are shown, the newest first, and make nobody unready", async () => {
  const restart = {
    process: "worker 1",
    reason: "silent",
    detail: "no heartbeat for 20 s",
    at: "2026-01-01T00:00:00.000Z",
  } as const;
  expect(await readiness(["ALIVE"], [restart])).toEqual({
    status: 200,
    body: { ready: true, reasons: [], restarts: [restart] },
  });
});

test("a worker of another machine that has fallen silent is a reason, for five minutes", async () => {
  const { ports } = await startForTest();
  const start = 1_000_000;
  await ports.registry.report({ workerId: "worker-a", at: start, models: [] });
  const reasonsAt = async (now: number) => {
    const response = await readinessOf({ ...ports, clock: { now: () => now } }, quiet)(null);
    return [response.status, ((await response.json()) as { reasons: string[] }).reasons];
  };
  expect(await reasonsAt(start + 45_000)).toEqual([200, []]);
  const silent = ["Workers that have fallen silent: 1."];
  expect(await reasonsAt(start + 45_001)).toEqual([200, silent]);
  expect(await reasonsAt(start + 300_000)).toEqual([200, silent]);
  expect(await reasonsAt(start + 300_001)).toEqual([200, []]);
});

/** A probe of which a test decides how it ends. */
function probed(write: () => Promise<void>) {
  let writes = 0;
  const wrap = (ports: Ports): Ports => ({
    ...ports,
    probe: {
      write() {
        writes += 1;
        return write();
      },
    },
    queue: { ...ports.queue, depth: () => Promise.reject(new Error("This counts the queue.")) },
    runs: {
      ...ports.runs,
      countUnfinished: () => Promise.reject(new Error("This counts runs.")),
    },
  });
  return { wrap, writes: () => writes };
}

test("readyz counts nothing, and writes once a second at most, however many ask", async () => {
  const { wrap, writes } = probed(async () => {});
  const { ports } = await startForTest();
  let now = 1_000_000;
  const ready = readinessOf({ ...wrap(ports), clock: { now: () => now } }, quiet);
  const statuses = async () =>
    (await Promise.all(Array.from({ length: 50 }, () => ready(null)))).map(({ status }) => status);
  expect(new Set(await statuses())).toEqual(new Set([200]));
  now += 999;
  await statuses();
  expect(writes()).toBe(1);
  now += 1;
  await statuses();
  expect(writes()).toBe(2);
  now -= 3_600_000; // the clock was set back
  await statuses();
  expect(writes()).toBe(3);
});

test("readyz does not wait for a store that hangs, and does not ask it again meanwhile", async () => {
  const { wrap, writes } = probed(() => new Promise(() => {}));
  const { ports } = await startForTest();
  let now = 0;
  const ready = readinessOf({ ...wrap(ports), clock: { now: () => now } }, quiet);
  for (const at of [0, 10_000]) {
    now = at;
    const response = await ready(null);
    expect([response.status, await response.json()]).toEqual([
      503,
      { ready: false, reasons: ["The store does not answer."] },
    ]);
  }
  expect(writes()).toBe(1);
}, 20_000);

test("readyz tells where nothing can be stored and what to do, and of other errors nothing", async () => {
  const full = new AppError("STORE_UNAVAILABLE", "The disk is full at /data (ENOSPC).", {
    fix: "Free some space there.",
  });
  const told = {
    "The disk is full at /data (ENOSPC). Free some space there.": full,
    "The store does not answer.": new Error("password=hunter2"),
  };
  for (const [reason, error] of Object.entries(told)) {
    const { wrap } = probed(() => Promise.reject(error));
    const gateway = await startForTest({}, wrap);
    const { status, body } = await send(`${gateway.url}/readyz`);
    expect({ status, body }).toEqual({ status: 503, body: { ready: false, reasons: [reason] } });
    expect((await send(`${gateway.url}/healthz`)).status).toBe(200);
  }
});
