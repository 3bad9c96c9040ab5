import type { Delivery, DeliveryAttempt, WebhookEndpoint, WebhookEvent } from "./webhook.ts";
import { disabledEventOf, healthy } from "./webhook.ts";

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/**
 * How long after the event, then after each failed attempt, the next one comes: the example of
 * Standard Webhooks 1.0; some three days in all.
 */
export const retryDelaysMs: readonly number[] = [
  0,
  5 * second,
  5 * minute,
  30 * minute,
  2 * hour,
  5 * hour,
  10 * hour,
  14 * hour,
  20 * hour,
  24 * hour,
];
/**
 * Delays are drawn out by up to this share of themselves, so that what failed together is not tried
 * together.
 */
const jitter = 0.1;
const retryAfterMsMax = day;
/** Asked for again and again, a delivery forgets its oldest attempts. */
const attemptsKept = 30;

/** An endpoint whose every delivery has failed for so long is disabled. */
const disabledAfterMs = 5 * day;
/**
 * After so many failures in a row nothing is sent for a while, which doubles with each further
 * failure.
 */
const circuit = { failures: 5, firstMs: 30 * second, lastMs: 10 * minute } as const;

/** How an attempt ended. */
export interface AttemptOutcome {
  readonly attempt: DeliveryAttempt;
  /** What the receiver asked for with Retry-After. */
  readonly retryAfterMs: number | null;
  /** Whether no further attempt can go better. */
  readonly isFinal: boolean;
}

/** A delivery after an attempt; `random` is drawn from [0, 1). */
export function afterAttempt(
  delivery: Delivery,
  { attempt, retryAfterMs, isFinal }: AttemptOutcome,
  { now, random }: { now: number; random: () => number },
): Delivery {
  const tries = delivery.tries + 1;
  const tried = {
    ...delivery,
    version: delivery.version + 1,
    attempts: [...delivery.attempts, attempt].slice(-attemptsKept),
    tries,
    attemptBegunAt: null,
  };
  if (attempt.error === null) return { ...tried, status: "SUCCEEDED", nextAttemptAt: null };
  const delayMs = retryDelaysMs[tries];
  if (isFinal || delayMs === undefined) return { ...tried, status: "FAILED", nextAttemptAt: null };
  const waitMs = Math.max(delayMs, Math.min(retryAfterMs ?? 0, retryAfterMsMax));
  return { ...tried, nextAttemptAt: now + Math.round(waitMs * (1 + jitter * random())) };
}

/** A delivery that begins anew: asked for by hand, or because its endpoint is back. */
export function restarted(delivery: Delivery, now: number): Delivery {
  return {
    ...delivery,
    version: delivery.version + 1,
    status: "PENDING",
    tries: 0,
    nextAttemptAt: now,
    attemptBegunAt: null,
  };
}

/** A delivery that waits until its endpoint is back and it is recovered. */
export function held(delivery: Delivery): Delivery {
  return {
    ...delivery,
    version: delivery.version + 1,
    status: "HELD",
    nextAttemptAt: null,
    attemptBegunAt: null,
  };
}

/**
 * A delivery that somebody attempts from `now` on; if its end is not noted by `until`, he is taken
 * for dead.
 */
export function claimed(
  delivery: Delivery,
  { now, until }: { now: number; until: number },
): Delivery {
  return {
    ...delivery,
    version: delivery.version + 1,
    nextAttemptAt: until,
    attemptBegunAt: now,
  };
}

/**
 * A due delivery whose last attempt began and never ended: its process died meanwhile, perhaps
 * because of it. The attempt counts as a failed try, so that what ends every process that tries it
 * is given up by the schedule as well. Null if no attempt was lost. The next one is due as long
 * after the beginning of the lost one as the schedule says.
 */
export function afterLostAttempt(
  delivery: Delivery,
  random: () => number,
): { delivery: Delivery; attempt: DeliveryAttempt } | null {
  const { attemptBegunAt: at } = delivery;
  if (at === null || at === undefined) return null;
  const nothing = { httpStatus: null, excerpt: "", requestHeaders: [], responseHeaders: [] };
  const attempt = { at, durationMs: 0, error: lostAttempt, ...nothing };
  const outcome = { attempt, retryAfterMs: null, isFinal: false };
  return { delivery: afterAttempt(delivery, outcome, { now: at, random }), attempt };
}

const lostAttempt = "The process that made this attempt ended before the attempt did.";

/** A delivery put off, no attempt being made. */
export function postponed(delivery: Delivery, until: number): Delivery {
  return { ...delivery, version: delivery.version + 1, nextAttemptAt: until };
}

/**
 * An endpoint after an attempt, and the event that it was disabled; null where nothing is to be
 * noted.
 */
export function endpointAfter(
  endpoint: WebhookEndpoint,
  { error, httpStatus }: DeliveryAttempt,
  now: number,
): { endpoint: WebhookEndpoint; event: WebhookEvent | null } | null {
  const { health } = endpoint;
  if (endpoint.disabledAt !== null || (error === null && health.failures === 0)) return null;
  if (error === null)
    return {
      endpoint: { ...endpoint, version: endpoint.version + 1, health: healthy },
      event: null,
    };
  const failingSince = health.failingSince ?? now;
  const failures = health.failures + 1;
  const pauseMs = Math.min(
    circuit.lastMs,
    circuit.firstMs * 2 ** Math.min(failures - circuit.failures, 30),
  );
  const pausedUntil = failures < circuit.failures ? null : now + pauseMs;
  const failing = {
    ...endpoint,
    version: endpoint.version + 1,
    health: { failingSince, failures, pausedUntil },
  };
  const reason =
    httpStatus === 410
      ? "It answered 410 Gone."
      : now - failingSince >= disabledAfterMs
        ? `Every delivery has failed since ${new Date(failingSince).toISOString()}.`
        : null;
  if (reason === null) return { endpoint: failing, event: null };
  return {
    endpoint: disabled(failing, reason, now),
    event: disabledEventOf(endpoint, reason, now),
  };
}

/** Of the same version: for within another change. */
export function disabled(endpoint: WebhookEndpoint, reason: string, now: number): WebhookEndpoint {
  return { ...endpoint, disabledAt: now, disabledReason: reason };
}

/**
 * An endpoint whose pause is over lets one delivery through to see how it fares; the others wait
 * for that.
 */
export function probing(endpoint: WebhookEndpoint, now: number): WebhookEndpoint {
  return {
    ...endpoint,
    version: endpoint.version + 1,
    health: { ...endpoint.health, pausedUntil: now + circuit.firstMs },
  };
}
