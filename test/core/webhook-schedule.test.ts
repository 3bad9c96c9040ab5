import { describe, expect, test } from "vitest";
import type { Delivery, DeliveryAttempt, WebhookEndpoint } from "../../core/webhook.ts";
import {
  type AttemptOutcome,
  afterAttempt,
  endpointAfter,
  restarted,
  retryDelaysMs,
} from "../../core/webhook-schedule.ts";
import { newDelivery, newEndpoint } from "./new-webhook.ts";

const hour = 3_600_000;
const attemptOf = (fields: Partial<DeliveryAttempt> = {}): DeliveryAttempt => ({
  ...{
    at: 0,
    durationMs: 5,
    httpStatus: 500,
    error: "It answered 500.",
    excerpt: "",
    requestHeaders: [],
    responseHeaders: [],
  },
  ...fields,
});
const failure: AttemptOutcome = { attempt: attemptOf(), retryAfterMs: null, isFinal: false };
const success: AttemptOutcome = {
  attempt: attemptOf({ httpStatus: 204, error: null }),
  retryAfterMs: null,
  isFinal: false,
};

/** When the attempts of a delivery come that always fails. */
function attemptTimes(random: number): number[] {
  let delivery: Delivery = newDelivery({ createdAt: 0, nextAttemptAt: 0 });
  const times: number[] = [];
  while (delivery.nextAttemptAt !== null) {
    const now = delivery.nextAttemptAt;
    times.push(now);
    delivery = afterAttempt(delivery, failure, { now, random: () => random });
  }
  expect(delivery.status).toBe("FAILED");
  return times;
}

const gaps = (times: readonly number[]) => times.slice(1).map((at, i) => at - (times[i] ?? 0));

describe("the schedule", () => {
  test("is that of the documentation: 0 s, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h", () => {
    const seconds = [0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
    expect(retryDelaysMs).toEqual(seconds.map((each) => each * 1_000));
    const times = attemptTimes(0);
    expect(times).toHaveLength(10);
    expect(gaps(times)).toEqual(retryDelaysMs.slice(1));
  });

  test("is drawn out by at most a tenth, and never shortened", () => {
    expect(gaps(attemptTimes(1))).toEqual(
      retryDelaysMs.slice(1).map((delay) => Math.round(delay * 1.1)),
    );
  });

  test("ends with the first success", () => {
    const done = afterAttempt(newDelivery(), success, { now: 0, random: () => 0 });
    expect(done).toMatchObject({ status: "SUCCEEDED", nextAttemptAt: null, tries: 1 });
  });

  test("ends where the receiver is gone", () => {
    const done = afterAttempt(
      newDelivery(),
      { ...failure, isFinal: true },
      { now: 0, random: () => 0 },
    );
    expect(done).toMatchObject({ status: "FAILED", nextAttemptAt: null });
  });

  test.each([
    ["later than ours is honoured", 60_000, 60_000],
    ["earlier than ours changes nothing", 1_000, 5_000],
    ["absurd is cut to a day", 1_000 * hour, 24 * hour],
  ])("a Retry-After %s", (_what, retryAfterMs, expected) => {
    expect(
      afterAttempt(newDelivery(), { ...failure, retryAfterMs }, { now: 0, random: () => 0 })
        .nextAttemptAt,
    ).toBe(expected);
  });

  test("begins anew when a delivery is asked for again, and keeps what happened before", () => {
    const once = afterAttempt(
      newDelivery(),
      { ...failure, isFinal: true },
      { now: 0, random: () => 0 },
    );
    const again = restarted(once, 70);
    expect(again).toMatchObject({ status: "PENDING", nextAttemptAt: 70, tries: 0 });
    expect(again.attempts).toHaveLength(1);
    expect(afterAttempt(again, failure, { now: 100, random: () => 0 }).nextAttemptAt).toBe(5_100);
  });
});

describe("an endpoint's health", () => {
  /** The endpoint after failures at these instants. */
  const afterFailures = (times: readonly number[], from: WebhookEndpoint = newEndpoint()) =>
    times.reduce(
      (endpoint, at) => endpointAfter(endpoint, attemptOf(), at)?.endpoint ?? endpoint,
      from,
    );

  test("a success of a healthy one is nothing to be noted", () => {
    expect(endpointAfter(newEndpoint(), success.attempt, 5)).toBeNull();
  });

  test("after five failures in a row it rests for 30 s, which doubles up to 10 min", () => {
    expect(afterFailures([1, 2, 3, 4]).health).toEqual({
      failingSince: 1,
      failures: 4,
      pausedUntil: null,
    });
    expect(afterFailures([1, 2, 3, 4, 5]).health.pausedUntil).toBe(30_005);
    expect(afterFailures([1, 2, 3, 4, 5, 6]).health.pausedUntil).toBe(60_006);
    expect(afterFailures(Array(40).fill(0)).health.pausedUntil).toBe(600_000);
  });

  test("one success makes it well", () => {
    const after = endpointAfter(afterFailures([1, 2, 3, 4, 5]), success.attempt, 9);
    expect(after?.endpoint.health).toEqual({ failingSince: null, failures: 0, pausedUntil: null });
  });

  test("after five days of nothing but failures it is disabled, and the others hear of it", () => {
    expect(afterFailures([0, 119 * hour]).disabledAt).toBeNull();
    const after = endpointAfter(afterFailures([0]), attemptOf(), 120 * hour);
    expect(after?.endpoint).toMatchObject({
      disabledAt: 120 * hour,
      disabledReason: expect.stringContaining("1970-01-01"),
    });
    expect(after?.event).toMatchObject({
      type: "endpoint.disabled",
      subject: { endpointId: "whe_1" },
    });
  });

  test("a success within the five days begins them anew", () => {
    const recovered = endpointAfter(afterFailures([0]), success.attempt, 100 * hour)?.endpoint;
    expect(afterFailures([101 * hour, 130 * hour], recovered).disabledAt).toBeNull();
  });

  test("410 disables it at once", () => {
    expect(
      endpointAfter(newEndpoint(), attemptOf({ httpStatus: 410 }), 7)?.endpoint.disabledAt,
    ).toBe(7);
  });

  test("what a disabled one still answers changes nothing", () => {
    expect(endpointAfter(newEndpoint({ disabledAt: 1 }), attemptOf(), 7)).toBeNull();
  });
});
