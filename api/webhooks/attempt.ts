import type { GraphQLSchema } from "graphql";
import { auditEntry, serviceItself } from "../../core/audit.ts";
import type { Ports } from "../../core/ports.ts";
import type { Run } from "../../core/run.ts";
import { isHostAllowed } from "../../core/tenant-limits.ts";
import { noTracing, type Tracing } from "../../core/tracing.ts";
import type { Delivery, DeliveryAttempt, WebhookEndpoint } from "../../core/webhook.ts";
import {
  type AttemptOutcome,
  afterAttempt,
  afterLostAttempt,
  claimed,
  endpointAfter,
  held,
  postponed,
  probing,
} from "../../core/webhook-schedule.ts";
import { unseal } from "../../core/webhook-secret.ts";
import type { Log } from "../context.ts";
import { noteTaken } from "../read-once.ts";
import { messageOf, type Target, targetOf } from "./message.ts";
import type { Sender } from "./send.ts";

export interface AttemptTools {
  readonly ports: Ports;
  readonly schema: GraphQLSchema;
  readonly sender: Sender;
  /** Under which signing secrets are sealed. */
  readonly secret: string;
  readonly log: Log;
  /** Absent: nobody traces. */
  readonly tracing?: Tracing | undefined;
  /** From [0, 1), for the jitter. */
  readonly random: () => number;
  /** Hears of every attempt. */
  readonly onAttempt?:
    | ((attempt: { readonly outcome: "succeeded" | "failed"; readonly ms: number }) => void)
    | undefined;
}

/**
 * So long an attempt may take with everything around it; after that its deliverer is taken for
 * dead, and another one tries.
 */
const claimMs = 60_000;
const probedElsewhereMs = 5_000;

/**
 * Brings one due delivery a step on: claims it, sends it and notes how that went; or puts it off,
 * holds or gives it up where its endpoint is resting, disabled or gone. Does nothing where another
 * deliverer has it. A claim that never ends counts as a failed try after a minute, and is made
 * again by others as the schedule says: what the receiver gets then has the same webhook-id.
 */
export async function attemptDelivery(tools: AttemptTools, due: Delivery): Promise<void> {
  const { webhooks, runs, clock } = tools.ports;
  const { tenantId, endpointId, event } = due;
  if (await noteLost(tools, due)) return;
  const now = clock.now();
  const delivery = claimed(due, { now, until: now + claimMs });
  if (!(await webhooks.replaceDelivery(delivery))) return;
  const endpoint = endpointId === null ? null : await webhooks.getEndpoint(tenantId, endpointId);
  const run = "runId" in event.subject ? await runs.get(tenantId, event.subject.runId) : null;
  const target = targetFor(tools, { delivery, endpoint, run });
  if (!target)
    return note(
      tools,
      delivery,
      impossible(
        endpointId === null ? "The run is gone." : "The endpoint was removed.",
        clock.now(),
      ),
    );
  const tenant = await tools.ports.tenants.get(tenantId);
  if (!isHostAllowed(tenant?.limits.webhookHosts ?? null, target.url)) {
    const reason = "The tenant's limit webhookHosts does not allow this host.";
    return note(tools, delivery, impossible(reason, clock.now()));
  }
  if (endpoint && endpoint.disabledAt !== null)
    return void (await webhooks.replaceDelivery(held(delivery)));
  const pausedUntil = endpoint && (await pauseOf(tools, endpoint));
  if (pausedUntil !== null)
    return void (await webhooks.replaceDelivery(
      postponed({ ...delivery, attemptBegunAt: null }, pausedUntil),
    ));
  const message = await messageOf({ event, run, target }, tools);
  const outcome = await traced(tools, { delivery, run }, () =>
    tools.sender.send(message, clock.now),
  );
  await note(tools, delivery, outcome);
  if (run && outcome.attempt.error === null && bringsTasks(message.body, target))
    await noteTaken(run, tools);
  if (endpoint) await noteHealth(tools, endpoint, outcome.attempt);
}

/** Whether a body is what a payload query asked for, and no thin one. */
function bringsTasks(body: string, { payloadQuery }: Target): boolean {
  return payloadQuery !== null && JSON.parse(body).data.run?.tasks !== undefined;
}

/** As a part of the trace of the request that the run came with. */
function traced(
  { tracing = noTracing }: AttemptTools,
  { delivery, run }: { delivery: Delivery; run: Run | null },
  send: () => Promise<AttemptOutcome>,
): Promise<AttemptOutcome> {
  const { id, tenantId, event, tries } = delivery;
  const attributes = {
    "vedere.delivery_id": id,
    "vedere.tenant_id": tenantId,
    "vedere.event": event.type,
    "vedere.attempt": tries + 1,
  };
  return tracing.span(
    "webhook delivery",
    { kind: "client", parent: run?.traceparent ?? null, attributes },
    async (span) => {
      const outcome = await send();
      const { httpStatus, error } = outcome.attempt;
      span.set({
        "vedere.delivered": error === null,
        ...(httpStatus !== null && { "http.response.status_code": httpStatus }),
      });
      return outcome;
    },
  );
}

/** Null where there is nobody any more to send it to. */
function targetFor(
  { ports, secret }: AttemptTools,
  {
    delivery,
    endpoint,
    run,
  }: { delivery: Delivery; endpoint: WebhookEndpoint | null; run: Run | null },
): Target | null {
  if (endpoint) return targetOf(endpoint, { secret, now: ports.clock.now() });
  if (delivery.endpointId !== null || !run?.webhook) return null;
  const { url, sealedSecret, payloadQuery } = run.webhook;
  return {
    url,
    secrets: [unseal(sealedSecret, { tenantId: delivery.tenantId, serviceSecret: secret })],
    payloadQuery,
    readsRuns: true, // whoever created the run gave its metadata
  };
}

/**
 * Until when nothing is sent to an endpoint; null where this delivery may go: because all is well,
 * or to see whether it is again.
 */
async function pauseOf({ ports }: AttemptTools, endpoint: WebhookEndpoint): Promise<number | null> {
  const { pausedUntil } = endpoint.health;
  const now = ports.clock.now();
  if (pausedUntil === null) return null;
  if (now < pausedUntil) return pausedUntil;
  return (await ports.webhooks.replaceEndpoint(probing(endpoint, now), null))
    ? null
    : now + probedElsewhereMs;
}

async function note(
  tools: AttemptTools,
  delivery: Delivery,
  outcome: AttemptOutcome,
): Promise<void> {
  const { ports, random, log, onAttempt } = tools;
  const after = afterAttempt(delivery, outcome, { now: ports.clock.now(), random });
  const isNoted = await ports.webhooks.replaceDelivery(after);
  const { error, httpStatus, durationMs: ms } = outcome.attempt;
  const { id: deliveryId, tenantId, endpointId, event, status } = after;
  log.info(
    { deliveryId, tenantId, endpointId, eventId: event.id, status, httpStatus, error, ms, isNoted },
    "delivery",
  );
  onAttempt?.({ outcome: error === null ? "succeeded" : "failed", ms });
}

/**
 * Notes an attempt whose process died in the middle of it, as a failed one; false if there was
 * none.
 */
async function noteLost(tools: AttemptTools, due: Delivery): Promise<boolean> {
  const { ports, random, log, onAttempt } = tools;
  const lost = afterLostAttempt(due, random);
  if (!lost) return false;
  if (!(await ports.webhooks.replaceDelivery(lost.delivery))) return true; // another deliverer was first
  const { id: deliveryId, tenantId, endpointId, event, status } = lost.delivery;
  const { error } = lost.attempt;
  log.info({ deliveryId, tenantId, endpointId, eventId: event.id, status, error }, "delivery");
  onAttempt?.({ outcome: "failed", ms: 0 });
  const endpoint = endpointId && (await ports.webhooks.getEndpoint(tenantId, endpointId));
  if (endpoint) await noteHealth(tools, endpoint, lost.attempt);
  return true;
}

/**
 * Others change the endpoint at the same time: what happened is noted on whatever it is by then.
 */
async function noteHealth(
  { ports, log }: AttemptTools,
  { tenantId, id }: WebhookEndpoint,
  attempt: DeliveryAttempt,
): Promise<void> {
  for (;;) {
    const endpoint = await ports.webhooks.getEndpoint(tenantId, id);
    const after = endpoint && endpointAfter(endpoint, attempt, ports.clock.now());
    if (!after) return;
    const { disabledReason: reason } = after.endpoint;
    const entry = after.event
      ? auditEntry({ clock: ports.clock, by: serviceItself }, "webhookEndpoint.disable", {
          subject: { type: "WebhookEndpoint", id, tenantId },
          details: { reason },
        })
      : undefined;
    if (!(await ports.webhooks.replaceEndpoint(after.endpoint, after.event, entry))) continue;
    if (after.event) log.info({ tenantId, endpointId: id, reason }, "an endpoint was disabled");
    return;
  }
}

function impossible(error: string, at: number): AttemptOutcome {
  const attempt = {
    at,
    durationMs: 0,
    httpStatus: null,
    error,
    excerpt: "",
    requestHeaders: [],
    responseHeaders: [],
  };
  return { attempt, retryAfterMs: null, isFinal: true };
}
