import { beforeEach, expect, test } from "vitest";
import { openBell } from "../../adapters/bell.ts";
import { openSqlite } from "../../adapters/sqlite.ts";
import { sqliteQueue } from "../../adapters/sqlite-queue.ts";
import { sqliteRuns } from "../../adapters/sqlite-runs.ts";
import type { Queue, Runs } from "../../core/ports.ts";
import { sweep } from "../../core/sweep.ts";
import { newRun } from "./new-run.ts";

const minute = 60_000;
let time = 0;
const clock = { now: () => time };
let ports: { runs: Runs; queue: Queue; clock: typeof clock };

beforeEach(() => {
  time = 0;
  const sqlite = openSqlite(":memory:");
  const bell = openBell(null);
  ports = { runs: sqliteRuns(sqlite, bell), queue: sqliteQueue(sqlite, bell, clock), clock };
});

test("a run that nobody started in time expires, however many older ones wait", async () => {
  for (let i = 0; i < 600; i += 1)
    await ports.runs.create(
      newRun({ id: `run_old_${i}`, createdAt: 0, expiresAt: 60 * minute }),
      null,
    );
  await ports.runs.create(newRun({ id: "run_short", createdAt: 1, expiresAt: 1_000 }), null);
  time = 2_000;
  expect(await sweep(ports, new Map())).toMatchObject({ expired: 1 });
  expect(await ports.runs.get("ten_1", "run_short")).toMatchObject({
    status: "EXPIRED",
    finishedAt: 2_000,
  });
});

test("a run whose message was lost is sent again, once a minute at most", async () => {
  await ports.runs.create(newRun({ expiresAt: 60 * minute }), null);
  const resent = new Map<string, number>();
  time = 0.5 * minute;
  expect((await sweep(ports, resent)).resent).toBe(0);
  time = 1.5 * minute;
  expect((await sweep(ports, resent)).resent).toBe(1);
  expect((await sweep(ports, resent)).resent).toBe(0);
  expect(await ports.queue.receive({ max: 10, waitMs: 0, leaseMs: 1_000 })).toHaveLength(1);
});

test("a run that merely waits behind others is left alone", async () => {
  await ports.runs.create(newRun({ expiresAt: 60 * minute }), null);
  await ports.queue.send({ version: 1, tenantId: "ten_1", runId: "run_1" });
  time = 30 * minute;
  expect(await sweep(ports, new Map())).toEqual({ expired: 0, resent: 0 });
});
