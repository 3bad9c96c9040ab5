import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import { type Delivery, deliveriesOf, type WebhookEvent } from "../../core/webhook.ts";
import { postponed } from "../../core/webhook-schedule.ts";
import { type AttemptTools, attemptDelivery } from "./attempt.ts";

/**
 * Delivers what the outbox and the schedule hold. Any number of processes may do so on one store.
 */
export interface Deliverer {
  /** Until `signal` aborts; attempts in progress are finished. `onRound` runs before each round. */
  run(signal: AbortSignal, onRound?: () => void): Promise<void>;
  /** Until nothing is due any more, or `signal` aborts. Throws what the store throws. */
  drain(signal?: AbortSignal): Promise<void>;
}

const eventsAtOnce = 100;
const dueAtOnce = 200;
/** One slow receiver does not take all places, nor one tenant with many. */
const atOnceMax = { all: 64, tenant: 32, receiver: 8 } as const;
/**
 * What finds no place is put off, so many by a second, the next by two and so on, so that others
 * come to the front.
 */
const crowded = { perSecond: 50, ms: 1_000 } as const;
const waitMs = 5_000;
/** The store is unwell: do not spin. */
const unwellMs = 1_000;

export function openDeliverer(tools: AttemptTools): Deliverer {
  const { ports, log } = tools;
  const inProgress = new Map<
    string,
    { readonly delivery: Delivery; readonly done: Promise<void> }
  >();

  function start(delivery: Delivery): void {
    const done = attemptDelivery(tools, delivery)
      .catch((err: unknown) => {
        log.error(
          { deliveryId: delivery.id, tenantId: delivery.tenantId, err },
          "an attempt at a delivery failed on our side; it is made again",
        );
      })
      .finally(() => inProgress.delete(delivery.id));
    inProgress.set(delivery.id, { delivery, done });
  }

  const countWith = (matches: (delivery: Delivery) => boolean) =>
    [...inProgress.values()].filter(({ delivery }) => matches(delivery)).length;
  const isCrowded = ({ tenantId, endpointId }: Delivery) =>
    countWith((other) => other.tenantId === tenantId) >= atOnceMax.tenant ||
    countWith((other) => other.tenantId === tenantId && other.endpointId === endpointId) >=
      atOnceMax.receiver;

  /**
   * Fans out what lies in the outbox and starts what is due, as far as there is room. Returns how
   * much there was to do.
   */
  async function round(): Promise<number> {
    const events = await ports.webhooks.outbox(eventsAtOnce);
    for (const event of events) await fanOut(tools, event);
    const due = (await ports.webhooks.due(ports.clock.now(), dueAtOnce)).filter(
      ({ id }) => !inProgress.has(id),
    );
    let putOff = 0;
    for (const delivery of due) {
      while (inProgress.size >= atOnceMax.all) await anyDone();
      if (!isCrowded(delivery)) start(delivery);
      else
        await ports.webhooks.replaceDelivery(
          postponed(
            delivery,
            ports.clock.now() + crowded.ms * (1 + Math.floor(putOff++ / crowded.perSecond)),
          ),
        );
    }
    return events.length + due.length;
  }

  const anyDone = () => Promise.race([...inProgress.values()].map(({ done }) => done));
  const allDone = () => Promise.all([...inProgress.values()].map(({ done }) => done));

  return {
    async run(signal, onRound = () => {}) {
      while (!signal.aborted) {
        onRound();
        try {
          if ((await round()) === 0) await ports.webhooks.wait(waitMs, signal);
          await turn();
        } catch (err) {
          log.error({ err }, "webhooks cannot be delivered now; the next round tries again");
          await pause(unwellMs, undefined, { signal }).catch(() => undefined); // rejects when aborted, which the loop sees
        }
      }
      await allDone();
    },
    async drain(signal) {
      while (!signal?.aborted && ((await round()) > 0 || inProgress.size > 0)) await allDone();
      await allDone();
    },
  };
}

async function fanOut({ ports }: AttemptTools, event: WebhookEvent): Promise<void> {
  const { tenantId, subject } = event;
  const run = "runId" in subject ? await ports.runs.get(tenantId, subject.runId) : null;
  const endpoints = await ports.webhooks.endpoints(tenantId);
  await ports.webhooks.fanOut(
    event,
    deliveriesOf(event, { endpoints, run, now: ports.clock.now() }),
  );
}
