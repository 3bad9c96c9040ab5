import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { officeDay } from "../../infra/scaling/days.ts";
import {
  desiredWorkers,
  type FleetState,
  type ScalingPolicy,
} from "../../infra/scaling/desired-workers.ts";
import { simulate } from "../../infra/scaling/simulate.ts";

const policy: ScalingPolicy = {
  min: 0,
  max: 10,
  runsPerWorkerPerMinute: 60,
  runsAtOnce: 8,
  targetDrainSeconds: 120,
  idleGraceSeconds: 300,
};
const state = (fields: Partial<FleetState>): FleetState => ({
  visible: 0,
  inFlight: 0,
  running: 0,
  idleSince: null,
  now: 1_000_000,
  ...fields,
});

describe("how many workers there should be", () => {
  test.each([
    ["none, where nothing is to be done", {}, 0],
    ["one, for a single run at zero", { visible: 1 }, 1],
    ["as many as work the backlog off in time", { visible: 600 }, 5],
    ["no more than may be", { visible: 1e6 }, 10],
    ["those that hold what is in progress", { inFlight: 17, running: 3 }, 3],
    [
      "those that there are, within the grace",
      { inFlight: 1, running: 4, idleSince: 1_000_000 - 299_999 },
      4,
    ],
    [
      "those that are needed, once the grace is over",
      { inFlight: 9, running: 4, idleSince: 1_000_000 - 300_000 },
      2,
    ],
    [
      "none, where nothing is to be done and the grace is over",
      { running: 4, idleSince: 1_000_000 - 300_000 },
      0,
    ],
    ["as many as there must be at least", { running: 4, idleSince: 0 }, 2, { ...policy, min: 2 }],
  ])("%s", (_what, given, expected, by = policy) => {
    expect(desiredWorkers(state(given), by)).toBe(expected);
  });

  const states = fc.record({
    visible: fc.nat(100_000),
    inFlight: fc.nat(1_000),
    running: fc.nat(50),
    idleSince: fc.option(fc.nat(1_000_000)),
    now: fc.constant(1_000_000),
  });
  const policies = fc.record({
    min: fc.nat(5),
    max: fc.integer({ min: 5, max: 50 }),
    runsPerWorkerPerMinute: fc.integer({ min: 1, max: 1_000 }),
    runsAtOnce: fc.integer({ min: 1, max: 64 }),
    targetDrainSeconds: fc.integer({ min: 10, max: 600 }),
    idleGraceSeconds: fc.integer({ min: 60, max: 3_600 }),
  });

  test("is a whole number between the bounds, whatever there is", () => {
    fc.assert(
      fc.property(states, policies, (given, by) => {
        const desired = desiredWorkers(given, by);
        return Number.isInteger(desired) && desired >= by.min && desired <= by.max;
      }),
    );
  });

  test("is never less for more work", () => {
    fc.assert(
      fc.property(states, policies, fc.nat(1_000), (given, by, more) => {
        const busy = { ...given, visible: given.visible + 1, idleSince: null };
        return (
          desiredWorkers({ ...busy, visible: busy.visible + more }, by) >= desiredWorkers(busy, by)
        );
      }),
    );
  });

  test("takes nobody away within the grace, and never those that hold what is in progress", () => {
    fc.assert(
      fc.property(states, policies, (given, by) => {
        const busy = { ...given, running: Math.min(given.running, by.max) };
        const isWithin =
          busy.idleSince === null || busy.now - busy.idleSince < by.idleGraceSeconds * 1_000;
        const desired = desiredWorkers(busy, by);
        return (
          (!isWithin || desired >= busy.running) &&
          desired >= Math.min(by.max, Math.ceil(busy.inFlight / by.runsAtOnce))
        );
      }),
    );
  });

  test("does not change where its own wish has come true", () => {
    fc.assert(
      fc.property(states, policies, (given, by) => {
        const once = desiredWorkers(given, by);
        return desiredWorkers({ ...given, running: once }, by) === once;
      }),
    );
  });
});

describe("a day of the fleet", () => {
  const gpu = { startSeconds: [180, 360], hourlyUsd: 0.8 } as const;
  const usual = { ...policy, runsPerWorkerPerMinute: 120, max: 8 };
  const fromZero = simulate(officeDay(2), { ...gpu, policy: usual });
  const always = simulate(officeDay(2), { ...gpu, policy: { ...usual, min: 8 } });

  test("loses no run, and ends what began", () => {
    expect(fromZero.runs).toBe(always.runs);
    expect([fromZero.left, always.left]).toEqual([0, 0]);
  });

  test("from zero costs less than a third of a fleet that is always there, for a wait that nobody likes and everybody survives", () => {
    expect(fromZero.usd).toBeLessThan(always.usd / 3);
    expect(fromZero.p50).toBeLessThan(10);
    expect(fromZero.max).toBeLessThan(900);
    expect(always.max).toBeLessThan(fromZero.max);
  });

  test("is the same for the same seed", () => {
    expect(simulate(officeDay(2), { ...gpu, policy: usual })).toEqual(fromZero);
  });

  test("has no worker at night", () => {
    const night = simulate({ seconds: 3_600, rate: () => 0 }, { ...gpu, policy: usual });
    expect([night.workerHours, night.usd]).toEqual([0, 0]);
  });
});
