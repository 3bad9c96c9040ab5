import { beforeEach, expect, test } from "vitest";
import { openBell } from "../../adapters/bell.ts";
import { openSqlite } from "../../adapters/sqlite.ts";
import { sqliteQueue } from "../../adapters/sqlite-queue.ts";
import { sqliteRuns } from "../../adapters/sqlite-runs.ts";
import { applyChange } from "../../core/lifecycle.ts";
import type { Queue, Runs } from "../../core/ports.ts";
import type { Run } from "../../core/run.ts";
import { sweep } from "../../core/sweep.ts";
import { answered } from "./answered.ts";
import { newRun } from "./new-run.ts";

const hour = 3_600_000;
const leaseMs = 30_000;
const start = 100 * hour;
const of = { tenantId: "ten_1", runId: "run_1" };
let time = start;
const clock = { now: () => time };
let ports: { runs: Runs; queue: Queue; clock: typeof clock };

beforeEach(async () => {
  time = start;
  const sqlite = openSqlite(":memory:");
  const bell = openBell(null);
  ports = { runs: sqliteRuns(sqlite, bell), queue: sqliteQueue(sqlite, bell, clock), clock };
  await ports.runs.create(newRun({ createdAt: start, expiresAt: start + 24 * hour }), null);
  await ports.queue.send({ version: 1, ...of });
});

const receive = () => ports.queue.receive({ max: 1, waitMs: 0, leaseMs });

async function begin() {
  const [lease] = await receive();
  const claim = await applyChange(ports, of, { type: "claim" });
  if (!lease || !claim?.applied) return expect.unreachable("no run to begin");
  const finish = () =>
    applyChange(ports, of, {
      type: "finish",
      attempt: claim.run.attempt,
      outcomes: claim.run.tasks.map(() => answered(5)),
      imageTimings: null,
    });
  return { lease, finish };
}

async function stored(): Promise<Run> {
  return (await ports.runs.get(of.tenantId, of.runId)) ?? expect.unreachable("the run is lost");
}

const charged = () => ports.runs.usage(of.tenantId, { from: 0, to: 1_000 * hour });

test("a clock that jumps an hour ahead during a run costs its worker the lease; the next attempt ends the run, and it is charged once", async () => {
  const first = await begin();
  time += hour;
  expect(await ports.queue.extend(first.lease, leaseMs)).toBe(false);
  const second = await begin();
  expect(second.lease.receiveCount).toBe(2);
  expect(await first.finish()).toMatchObject({ applied: false });
  expect(await second.finish()).toMatchObject({ applied: true });
  await ports.queue.remove(first.lease);
  await ports.queue.remove(second.lease);
  expect(await stored()).toMatchObject({ status: "SUCCEEDED", attempt: 2 });
  expect(await charged()).toMatchObject({ runs: 1, tasks: 2, tokens: 10 });
  expect(await ports.queue.depth()).toMatchObject({ visible: 0, inFlight: 0, dead: 0 });
});

test("a clock that jumps an hour back during a run leaves its worker the lease, and nobody begins the run a second time", async () => {
  const first = await begin();
  time -= hour;
  expect(await receive()).toEqual([]);
  expect(await ports.queue.extend(first.lease, leaseMs)).toBe(true);
  expect(await receive()).toEqual([]);
  expect(await sweep(ports, new Map())).toEqual({ expired: 0, resent: 0 });
  expect(await first.finish()).toMatchObject({ applied: true });
  await ports.queue.remove(first.lease);
  time += hour;
  expect(await receive()).toEqual([]);
  expect(await stored()).toMatchObject({ status: "SUCCEEDED", attempt: 1 });
  expect(await charged()).toMatchObject({ runs: 1, tasks: 2, tokens: 10 });
});

test("after a jump back, the lease of a worker that died ends by the new time once it was renewed in it", async () => {
  const dead = await begin();
  time -= hour;
  await ports.queue.extend(dead.lease, leaseMs);
  time += leaseMs;
  const second = await begin();
  expect(await second.finish()).toMatchObject({ applied: true });
  expect(await dead.finish()).toMatchObject({ applied: false });
  expect(await charged()).toMatchObject({ runs: 1 });
});

test("no jump within the time that a run has makes the sweeper end it or lose it; one beyond that expires it, once", async () => {
  for (const jump of [hour, -2 * hour, hour]) {
    time += jump;
    expect((await sweep(ports, new Map())).expired).toBe(0);
    expect(await stored()).toMatchObject({ status: "QUEUED" });
  }
  expect(await receive()).toHaveLength(1);
  time += 25 * hour;
  expect((await sweep(ports, new Map())).expired).toBe(1);
  expect((await sweep(ports, new Map())).expired).toBe(0);
  time -= 25 * hour;
  expect(await stored()).toMatchObject({ status: "EXPIRED" });
  expect(await charged()).toMatchObject({ runs: 0 });
});
