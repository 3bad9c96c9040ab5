import { expect, test } from "vitest";
import { answerReadiness, type ProcessHealth } from "../../api/health.ts";
import { startForTest } from "./start.ts";

const quiet = { info() {}, error() {} };

async function readiness(
  states: readonly ProcessHealth["workers"][number]["state"][],
  restarts: ProcessHealth["restarts"] = [],
) {
  const { ports } = await startForTest();
  const workers = states.map((state, i) => ({ name: `worker ${i + 1}`, state }));
  const response = await answerReadiness(ports, quiet, { workers, restarts });
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
    const response = await answerReadiness({ ...ports, clock: { now: () => now } }, quiet, null);
    return [response.status, ((await response.json()) as { reasons: string[] }).reasons];
  };
  expect(await reasonsAt(start + 45_000)).toEqual([200, []]);
  const silent = ["Workers that have fallen silent: 1."];
  expect(await reasonsAt(start + 45_001)).toEqual([200, silent]);
  expect(await reasonsAt(start + 300_000)).toEqual([200, silent]);
  expect(await reasonsAt(start + 300_001)).toEqual([200, []]);
});
