import { createHash, randomBytes } from "node:crypto";
import { applyChange } from "../../core/lifecycle.ts";
import type { RunTask } from "../../core/run.ts";
import { sweep } from "../../core/sweep.ts";
import { deliveriesOf } from "../../core/webhook.ts";
import type { FilledStore } from "./filled-store.ts";
import type { Operation } from "./operation.ts";
import { graphqlRequest } from "./seed.ts";

async function newRun(store: FilledStore): Promise<string> {
  const input = { source: { imageId: store.next().imageId }, tasks: [{ caption: {} }] };
  const query = "mutation ($input: RunCreateInput!) { runCreate(input: $input) { run { id } } }";
  return (await store.ask(query, { input })).runCreate.run.id;
}

async function emptyQueue({ ports }: FilledStore): Promise<void> {
  for (;;) {
    const leases = await ports.queue.receive({ max: 100, waitMs: 0, leaseMs: 60_000 });
    if (leases.length === 0) return;
    for (const lease of leases) await ports.queue.remove(lease);
  }
}

async function outcomeOf({ ports, seed }: FilledStore): Promise<NonNullable<RunTask["outcome"]>> {
  const outcome = (await ports.runs.get(seed.tenantId, seed.runId))?.tasks[0]?.outcome;
  if (!outcome) throw new Error("The seed's run was answered.");
  return outcome;
}

/**
 * What a worker does with the store: from the queue to the run's end with its charge and its event.
 */
async function work(store: FilledStore): Promise<void> {
  const { ports } = store;
  const [lease] = await ports.queue.receive({ max: 1, waitMs: 0, leaseMs: 60_000 });
  if (!lease) throw new Error("The run's message is in the queue.");
  const run = { tenantId: lease.message.tenantId, runId: lease.message.runId };
  const begun = await applyChange(ports, run, { type: "claim" });
  const outcomes = [await outcomeOf(store)];
  const attempt = begun?.run.attempt ?? 0;
  const end = { type: "finish", attempt, outcomes, imageTimings: null } as const;
  const ended = await applyChange(ports, run, end);
  if (!ended?.applied) throw new Error(`${run.runId} did not end.`);
  await ports.queue.remove(lease);
}

async function emptyOutbox({ ports }: FilledStore): Promise<void> {
  for (const event of await ports.webhooks.outbox(100)) await ports.webhooks.fanOut(event, []);
}

async function fanOut({ ports, seed }: FilledStore): Promise<void> {
  const [event] = await ports.webhooks.outbox(100);
  if (!event) throw new Error("The run left an event.");
  const run = await ports.runs.get(
    seed.tenantId,
    "runId" in event.subject ? event.subject.runId : "",
  );
  const endpoints = await ports.webhooks.endpoints(seed.tenantId);
  const now = ports.clock.now();
  await ports.webhooks.fanOut(event, deliveriesOf(event, { endpoints, run, now }));
  await ports.webhooks.due(now, 200);
}

const resent = new WeakMap<FilledStore, Map<string, number>>();

export const others: readonly Operation[] = [
  {
    name: "runProgress: of a finished run, to its end",
    async prepare(store) {
      const query = "subscription ($id: ID!) { runProgress(id: $id) { status tasks { raw } } }";
      const { id } = store.next();
      return async () => {
        const text = await store.send("/graphql/stream", graphqlRequest(store.seed, query, { id }));
        if (!/"status":"SUCCEEDED"/.test(text)) throw new Error(text);
      };
    },
  },
  {
    name: "GET /readyz",
    prepare: async (store) => () => store.send("/readyz"),
  },
  {
    name: "PUT of an upload",
    async prepare(store) {
      const bytes = randomBytes(1_000);
      const file = { byteSize: 1_000, sha256: createHash("sha256").update(bytes).digest("hex") };
      const { uploadsCreate } = await store.ask(
        "mutation ($input: UploadsCreateInput!) { uploadsCreate(input: $input) { targets { url } } }",
        { input: { files: [file] } },
      );
      const target = new URL(uploadsCreate.targets[0].url);
      const put = { method: "PUT", body: bytes };
      return () => store.send(`${target.pathname}${target.search}`, put);
    },
  },
  {
    name: "a worker: a run from the queue to its end",
    async prepare(store) {
      await emptyQueue(store);
      await newRun(store);
      return () => work(store);
    },
  },
  {
    name: "the deliverer: an event to its deliveries, what is due",
    async prepare(store) {
      await emptyQueue(store);
      await emptyOutbox(store);
      await newRun(store);
      await work(store);
      return () => fanOut(store);
    },
  },
  {
    name: "the sweeper: a round",
    async prepare(store) {
      const sent = resent.get(store) ?? new Map<string, number>();
      resent.set(store, sent);
      return () => sweep(store.ports, sent);
    },
  },
];
