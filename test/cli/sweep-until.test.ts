import { setTimeout as pause } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import type { Connection } from "../../adapters/connect.ts";
import { sweepUntil } from "../../cli/sweep-until.ts";

/** A store whose answers are these. */
const storeOf = (answer: () => Promise<never>) =>
  ({ runs: { overdue: answer, queued: answer }, clock: { now: () => 0 } }) as unknown as Connection;

test("a sweep that never ends makes no further round, so its heartbeat falls silent", async () => {
  const onRound = vi.fn();
  const stop = new AbortController();
  const query = vi.fn(() => new Promise<never>(() => {}));
  const log = { info() {}, error() {} };
  void sweepUntil(stop.signal, storeOf(query), { log, onRound });
  await pause(6_000); // longer than from one round to the next
  expect(query).toHaveBeenCalled();
  expect(onRound).toHaveBeenCalledTimes(1);
  stop.abort();
}, 20_000);

test("a sweep that fails is logged, and the next round comes", async () => {
  const onRound = vi.fn();
  const error = vi.fn();
  const stop = new AbortController();
  const query = () => Promise.reject(new Error("the disk is gone"));
  const ended = sweepUntil(stop.signal, storeOf(query), { log: { info() {}, error }, onRound });
  await expect.poll(() => onRound.mock.calls.length, { timeout: 15_000 }).toBe(2);
  await expect.poll(() => error.mock.calls.length).toBe(2);
  stop.abort();
  await ended;
}, 20_000);
