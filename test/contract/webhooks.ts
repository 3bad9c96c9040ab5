import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Runs } from "../../core/ports.ts";
import { disabledEventOf, eventOf } from "../../core/webhook.ts";
import { afterLostAttempt, claimed } from "../../core/webhook-schedule.ts";
import type { Webhooks } from "../../core/webhook-store.ts";
import { newRun } from "../core/new-run.ts";
import { newDelivery, newEndpoint, newEvent } from "../core/new-webhook.ts";

/**
 * What `open` gives: an empty store of webhooks and of the runs whose events it holds, and the same
 * as another process sees them.
 */
export interface OpenWebhooks {
  readonly runs: Runs;
  readonly webhooks: Webhooks;
  readonly elsewhere: { readonly runs: Runs; readonly webhooks: Webhooks };
  close(): Promise<void>;
}

/** What every store of webhooks promises. */
export function webhooksContract(name: string, open: () => Promise<OpenWebhooks>): void {
  describe(`webhooks: ${name}`, () => {
    let store: OpenWebhooks;
    let webhooks: Webhooks;
    beforeEach(async () => {
      store = await open();
      webhooks = store.webhooks;
    });
    afterEach(() => store.close());

    describe("endpoints", () => {
      test("are read back by their tenant only, the oldest first", async () => {
        const [second, first] = [
          newEndpoint({ id: "whe_a", createdAt: 2 }),
          newEndpoint({ id: "whe_b", createdAt: 1, payloadQuery: "{ id }" }),
        ];
        await webhooks.createEndpoint(second);
        await webhooks.createEndpoint(first);
        expect(await store.elsewhere.webhooks.endpoints("ten_1")).toEqual([first, second]);
        expect(await webhooks.getEndpoint("ten_1", "whe_a")).toEqual(second);
        expect(await webhooks.getEndpoint("ten_2", "whe_a")).toBeNull();
        expect(await webhooks.endpoints("ten_2")).toEqual([]);
      });

      test("of two changes of one version, one is taken", async () => {
        const endpoint = newEndpoint();
        await webhooks.createEndpoint(endpoint);
        const changed = { ...endpoint, version: 2, description: "new" };
        expect(await webhooks.replaceEndpoint(changed, null)).toBe(true);
        expect(
          await store.elsewhere.webhooks.replaceEndpoint(
            { ...endpoint, version: 2, description: "other" },
            null,
          ),
        ).toBe(false);
        expect(
          await webhooks.replaceEndpoint({ ...changed, tenantId: "ten_2", version: 3 }, null),
        ).toBe(false);
        expect(await webhooks.getEndpoint("ten_1", "whe_1")).toEqual(changed);
      });

      test("a change and its event are stored together, or neither is", async () => {
        const endpoint = newEndpoint();
        await webhooks.createEndpoint(endpoint);
        const changed = { ...endpoint, version: 2, disabledAt: 5 };
        const event = disabledEventOf(endpoint, "It is gone.", 5);
        expect(await webhooks.replaceEndpoint(changed, event)).toBe(true);
        expect(
          await webhooks.replaceEndpoint(changed, disabledEventOf(endpoint, "It is gone.", 6)),
        ).toBe(false);
        expect(await webhooks.outbox(10)).toEqual([event]);
      });

      test("are removed once, by their tenant", async () => {
        await webhooks.createEndpoint(newEndpoint());
        expect(await webhooks.removeEndpoint("ten_2", "whe_1")).toBe(false);
        expect(await webhooks.removeEndpoint("ten_1", "whe_1")).toBe(true);
        expect(await webhooks.removeEndpoint("ten_1", "whe_1")).toBe(false);
        expect(await webhooks.endpoints("ten_1")).toEqual([]);
      });
    });

    describe("the outbox", () => {
      test("a run that ends leaves one event, whoever tries to end it again", async () => {
        const { run } = await store.runs.create(newRun(), null);
        await store.runs.replace({ ...run, version: 2, status: "PROCESSING" });
        expect(await webhooks.outbox(10)).toEqual([]);
        const ended = { ...run, version: 3, status: "SUCCEEDED", finishedAt: 50 } as const;
        expect([
          await store.runs.replace(ended),
          await store.elsewhere.runs.replace(ended),
        ]).toEqual([true, false]);
        expect(await store.elsewhere.webhooks.outbox(10)).toEqual([eventOf(ended)]);
      });

      test("an end that comes too late leaves none", async () => {
        const { run } = await store.runs.create(newRun(), null);
        expect(
          await store.runs.replace({ ...run, version: 5, status: "CANCELED", finishedAt: 50 }),
        ).toBe(false);
        expect(await webhooks.outbox(10)).toEqual([]);
      });

      test("gives the oldest first, and no more than asked for", async () => {
        for (const [i, at] of [30, 10, 20].entries()) {
          const { run } = await store.runs.create(newRun({ id: `run_${i}` }), null);
          await store.runs.replace({ ...run, version: 2, status: "FAILED", finishedAt: at });
        }
        expect((await webhooks.outbox(2)).map(({ at }) => at)).toEqual([10, 20]);
      });

      test("an event is fanned out once", async () => {
        const { run } = await store.runs.create(newRun(), null);
        await store.runs.replace({ ...run, version: 2, status: "SUCCEEDED", finishedAt: 100 });
        const [event = newEvent()] = await webhooks.outbox(1);
        const deliveries = [newDelivery({ event }), newDelivery({ event }, "whe_2")];
        const done = await Promise.all([
          webhooks.fanOut(event, deliveries),
          store.elsewhere.webhooks.fanOut(event, deliveries),
        ]);
        expect(done.filter(Boolean)).toHaveLength(1);
        expect(await webhooks.outbox(10)).toEqual([]);
        expect(await webhooks.due(100, 10)).toHaveLength(2);
      });

      test("an event that nobody hears of leaves nothing", async () => {
        const { run } = await store.runs.create(newRun(), null);
        await store.runs.replace({ ...run, version: 2, status: "SUCCEEDED", finishedAt: 100 });
        const [event = newEvent()] = await webhooks.outbox(1);
        expect(await webhooks.fanOut(event, [])).toBe(true);
        expect([await webhooks.outbox(10), await webhooks.due(1_000, 10)]).toEqual([[], []]);
      });

      test("who waits hears of an end elsewhere", async () => {
        const { run } = await store.runs.create(newRun(), null);
        const heard = webhooks.wait(20_000);
        await store.elsewhere.runs.replace({
          ...run,
          version: 2,
          status: "SUCCEEDED",
          finishedAt: 100,
        });
        await heard;
        expect(await webhooks.outbox(1)).toHaveLength(1);
      });

      test("who waits stops when told to", async () => {
        const stop = new AbortController();
        const waiting = webhooks.wait(60_000, stop.signal);
        stop.abort();
        await waiting;
      });
    });

    describe("deliveries", () => {
      /** Puts deliveries into the store, each by an event of its own. */
      const stored = async (...deliveries: ReturnType<typeof newDelivery>[]) => {
        for (const delivery of deliveries) {
          const { tenantId, event } = delivery;
          const { run } = await store.runs.create(
            newRun({ id: "runId" in event.subject ? event.subject.runId : "", tenantId }),
            null,
          );
          await store.runs.replace({
            ...run,
            version: 2,
            status: "SUCCEEDED",
            finishedAt: event.at,
          });
          expect(await webhooks.fanOut({ ...event, tenantId }, [delivery])).toBe(true);
        }
      };
      const delivery = (run: string, at: number, fields = {}, endpointId = "whe_1") =>
        newDelivery(
          { event: newEvent(run, at), createdAt: at, nextAttemptAt: at, ...fields },
          endpointId,
        );

      test("read back as they were, by their tenant only", async () => {
        const one = delivery("run_1", 100);
        await stored(one);
        expect(await store.elsewhere.webhooks.getDelivery("ten_1", one.id)).toEqual(one);
        expect(await webhooks.getDelivery("ten_2", one.id)).toBeNull();
        const filter = { endpointId: null, runId: null, status: null, first: 10, after: null };
        expect((await webhooks.deliveries("ten_2", filter)).deliveries).toEqual([]);
      });

      test("are due at their instant, the longest overdue first, and not once they have ended", async () => {
        const [late, early, ended] = [
          delivery("run_1", 300),
          delivery("run_2", 200),
          delivery("run_3", 100),
        ];
        await stored(late, early, ended);
        expect(
          await webhooks.replaceDelivery({
            ...ended,
            version: 2,
            status: "SUCCEEDED",
            nextAttemptAt: null,
          }),
        ).toBe(true);
        expect(await webhooks.due(199, 10)).toEqual([]);
        expect(await webhooks.due(300, 10)).toEqual([early, late]);
        expect(await store.elsewhere.webhooks.due(300, 1)).toEqual([early]);
        await webhooks.replaceDelivery({ ...early, version: 2, nextAttemptAt: 400 });
        expect(await webhooks.due(399, 10)).toEqual([late]);
      });

      test("of two claims of one version, one is taken", async () => {
        const one = delivery("run_1", 100);
        await stored(one);
        const claim = { ...one, version: 2, nextAttemptAt: 160 };
        const taken = await Promise.all([
          webhooks.replaceDelivery(claim),
          store.elsewhere.webhooks.replaceDelivery(claim),
        ]);
        expect(taken.filter(Boolean)).toHaveLength(1);
        expect(await webhooks.replaceDelivery({ ...claim, tenantId: "ten_2", version: 3 })).toBe(
          false,
        );
      });

      test("a claim whose end is never noted comes due again, and shows when its attempt began", async () => {
        const one = delivery("run_1", 100);
        await stored(one);
        const claim = claimed(one, { now: 100, until: 160 });
        expect(await webhooks.replaceDelivery(claim)).toBe(true);
        expect(await store.elsewhere.webhooks.due(159, 10)).toEqual([]);
        const [lost] = await store.elsewhere.webhooks.due(160, 10);
        expect(lost).toEqual(claim);
        const after = lost && afterLostAttempt(lost, () => 0);
        if (!after) return expect.unreachable();
        expect(await store.elsewhere.webhooks.replaceDelivery(after.delivery)).toBe(true);
        expect(await webhooks.replaceDelivery(after.delivery)).toBe(false); // it is counted once
        const noted = await webhooks.getDelivery("ten_1", one.id);
        expect(noted).toMatchObject({ tries: 1, attempts: [{ at: 100 }], nextAttemptAt: 5_100 });
        expect(noted && afterLostAttempt(noted, () => 0)).toBeNull();
      });

      test("are listed newest first, page by page, by endpoint, run and status", async () => {
        const all = [1, 2, 3, 4, 5].map((i) =>
          delivery(`run_${i}`, i * 100, {}, i % 2 ? "whe_odd" : "whe_even"),
        );
        await stored(...all);
        const [first] = all;
        if (first)
          await webhooks.replaceDelivery({
            ...first,
            version: 2,
            status: "FAILED",
            nextAttemptAt: null,
          });
        const any = { endpointId: null, runId: null, status: null, first: 10, after: null };
        const runs = async (filter: Partial<Parameters<Webhooks["deliveries"]>[1]>) => {
          const page = await webhooks.deliveries("ten_1", { ...any, ...filter });
          return page.deliveries.map(({ event: { subject } }) =>
            "runId" in subject ? subject.runId : "",
          );
        };
        expect(await runs({})).toEqual(["run_5", "run_4", "run_3", "run_2", "run_1"]);
        expect(await runs({ endpointId: "whe_odd" })).toEqual(["run_5", "run_3", "run_1"]);
        expect(await runs({ endpointId: "whe_odd", status: "PENDING" })).toEqual([
          "run_5",
          "run_3",
        ]);
        expect(await runs({ runId: "run_2" })).toEqual(["run_2"]);
        expect(await runs({ status: "FAILED" })).toEqual(["run_1"]);
        const page = await webhooks.deliveries("ten_1", {
          ...any,
          endpointId: "whe_odd",
          first: 2,
        });
        expect([page.deliveries.length, page.hasNextPage]).toEqual([2, true]);
        const last = page.deliveries.at(-1);
        const rest = await webhooks.deliveries("ten_1", {
          ...any,
          endpointId: "whe_odd",
          first: 2,
          after: last ? page.cursorOf(last) : null,
        });
        expect([rest.deliveries.length, rest.hasNextPage]).toEqual([1, false]);
        await expect(
          webhooks.deliveries("ten_1", { ...any, after: "nonsense" }),
        ).rejects.toMatchObject({ code: "INVALID" });
      });
    });
  });
}
