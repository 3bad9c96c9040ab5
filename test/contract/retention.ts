import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Clock, Images, Runs } from "../../core/ports.ts";
import {
  addErased,
  dayMs,
  isNothing,
  nothingErased,
  type Retention,
} from "../../core/retention.ts";
import type { Run, StoredImage } from "../../core/run.ts";
import { deliveriesOf } from "../../core/webhook.ts";
import type { Webhooks } from "../../core/webhook-store.ts";
import { answered } from "../core/answered.ts";
import { newRun } from "../core/new-run.ts";
import { newEndpoint } from "../core/new-webhook.ts";
import { fakeClock } from "./fake-clock.ts";

/** An empty store. */
export interface OpenRetention {
  readonly runs: Runs;
  readonly webhooks: Webhooks;
  readonly images: Images;
  readonly retention: Retention;
  close(): Promise<void>;
}

/** What every store promises about what it deletes. */
export function retentionContract(
  name: string,
  open: (clock: Clock) => Promise<OpenRetention>,
): void {
  describe(`retention: ${name}`, () => {
    let store: OpenRetention;
    let clock: ReturnType<typeof fakeClock>;
    beforeEach(async () => {
      clock = fakeClock();
      store = await open(clock);
    });
    afterEach(() => store.close());

    /** Stores an image and a run of it. */
    async function take(id: string, fields: Partial<Run> = {}): Promise<Run> {
      const image = imageNamed(`img_${id}`);
      const run = newRun({
        id: `run_${id}`,
        createdAt: clock.now(),
        expiresAt: clock.now() + dayMs,
        image,
        ...fields,
      });
      await store.images.put(run.tenantId, run.image, bytes);
      const { outcome } = await store.runs.create(run, { key: `key ${run.id}`, inputHash: "h" });
      expect(outcome).toBe("created");
      return run;
    }

    /** Ends a run now, and delivers its event. */
    async function end(run: Run): Promise<Run> {
      const ended: Run = {
        ...run,
        version: run.version + 1,
        status: "SUCCEEDED",
        finishedAt: clock.now(),
        tasks: run.tasks.map((task) => ({ ...task, outcome: answered(3) })),
      };
      expect(await store.runs.replace(ended)).toBe(true);
      for (const event of await store.webhooks.outbox(100)) {
        const endpoints = [newEndpoint({ tenantId: run.tenantId })];
        const deliveries = deliveriesOf(event, { endpoints, run: ended, now: clock.now() });
        await store.webhooks.fanOut(
          event,
          deliveries.map((each) => ({ ...each, status: "SUCCEEDED", nextAttemptAt: null })),
        );
      }
      return ended;
    }

    const deliveriesTo = async (tenantId: string) =>
      (
        await store.webhooks.deliveries(tenantId, {
          ...{ first: 100, after: null, endpointId: null, runId: null, status: null },
        })
      ).deliveries.map(({ event }) => ("runId" in event.subject ? event.subject.runId : null));

    /** Until there is nothing left to do. */
    async function expire(tenantId: string, before: number) {
      let erased = nothingErased;
      for (;;) {
        const done = await store.retention.expire(tenantId, before);
        if (isNothing(done)) return erased;
        erased = addErased(erased, done);
      }
    }

    test("what finished before the instant goes with all that belongs to it; the rest stays", async () => {
      const old = await end(await take("old"));
      const others = await end(await take("others", { tenantId: "ten_2" }));
      const open = await take("open");
      clock.advance(10);
      const before = clock.now();
      const young = await end(await take("young"));
      expect(await expire("ten_1", before)).toMatchObject({ runs: 1, images: 1, deliveries: 1 });
      expect(await store.runs.get("ten_1", old.id)).toBeNull();
      expect(await store.runs.findByKey("ten_1", `key ${old.id}`)).toBeNull();
      expect(await store.images.get("ten_1", old.image.id)).toBeNull();
      expect(await store.images.read("ten_1", old.image.id)).toBeNull();
      expect(await deliveriesTo("ten_1")).toEqual([young.id]);
      for (const kept of [others, open, young]) {
        expect(await store.runs.get(kept.tenantId, kept.id)).toMatchObject({ id: kept.id });
        expect(await store.images.read(kept.tenantId, kept.image.id)).not.toBeNull();
      }
      expect(await deliveriesTo("ten_2")).toEqual([others.id]);
      expect(await expire("ten_1", before)).toEqual(nothingErased);
    });

    test("a run that took long is kept from its end on, not from its beginning", async () => {
      const slow = await take("slow");
      clock.advance(dayMs);
      await end(slow);
      expect(await expire("ten_1", clock.now())).toEqual(nothingErased);
      expect(await store.runs.get("ten_1", slow.id)).not.toBeNull();
      clock.advance(1);
      expect(await expire("ten_1", clock.now())).toMatchObject({ runs: 1 });
    });

    test("an image stays as long as any run has it", async () => {
      const image = imageNamed("img_shared");
      await end(await take("first", { image }));
      clock.advance(10);
      const second = await end(await take("second", { image }));
      expect(await expire("ten_1", second.finishedAt ?? 0)).toMatchObject({ runs: 1, images: 0 });
      expect(await store.images.read("ten_1", image.id)).not.toBeNull();
      expect(await expire("ten_1", clock.now() + 1)).toMatchObject({ runs: 1, images: 1 });
      expect(await store.images.read("ten_1", image.id)).toBeNull();
    });

    test("the sums of usage outlive the runs and their charges", async () => {
      const begun = clock.now() - (clock.now() % 3_600_000);
      for (const id of ["a", "b", "c"]) await end(await take(id));
      clock.advance(2 * dayMs);
      const span = { from: begun, to: begun + dayMs };
      const used = await store.runs.usage("ten_1", span);
      expect(used).toMatchObject({ runs: 3, tasks: 6 });
      await expire("ten_1", clock.now());
      expect(await store.runs.get("ten_1", "run_a")).toBeNull();
      expect(await store.runs.usage("ten_1", span)).toEqual(used);
    });

    test("a run is not stored with an image that was deleted since it was found, until that is put again", async () => {
      const image = imageNamed("img_again");
      await end(await take("first", { image }));
      expect(await store.images.get("ten_1", image.id)).not.toBeNull();
      await expire("ten_1", clock.now() + 1);
      const late = newRun({ id: "run_late", image });
      expect(await store.runs.create(late, null)).toMatchObject({ outcome: "imageGone" });
      expect(await store.runs.get("ten_1", "run_late")).toBeNull();
      await store.images.put("ten_1", image, bytes);
      expect(await store.runs.create(late, null)).toMatchObject({ outcome: "created" });
      expect(Buffer.from((await store.images.read("ten_1", image.id)) ?? [])).toEqual(bytes);
    });

    test("many runs go in several steps, none of which is long", async () => {
      for (let i = 0; i < 250; i += 1) await end(await take(`many${i}`));
      let steps = 0;
      for (;;) {
        const done = await store.retention.expire("ten_1", clock.now() + 1);
        if (isNothing(done)) break;
        expect(done.runs).toBeLessThanOrEqual(100);
        steps += 1;
      }
      expect(steps).toBeGreaterThan(2);
      const left = await store.runs.list("ten_1", { first: 1, after: null, status: null });
      expect(left.runs).toEqual([]);
      expect(await deliveriesTo("ten_1")).toEqual([]);
    });
  });
}

export const bytes = Buffer.from("these bytes stand for a picture");

function imageNamed(id: string): StoredImage {
  const sha256 = "3b0ef0ab6b1eabbb2ad7ef97f9a4f3aa6e3fd7e5b8c8b0e3e4a2a2e1f2d4c6b8";
  return { id, sha256, mediaType: "image/png", byteSize: bytes.length, width: 4, height: 3 };
}
