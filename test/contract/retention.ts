import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Audit, anyEntry, auditEntry, commandLine } from "../../core/audit.ts";
import { eraseDeletedTenants } from "../../core/delete-tenant.ts";
import { addErased, isNothing, nothingErased } from "../../core/erased.ts";
import type { Clock, Images, Runs, Tenants } from "../../core/ports.ts";
import { dayMs, type Retention } from "../../core/retention.ts";
import type { Run, StoredImage } from "../../core/run.ts";
import { mintKey } from "../../core/tenant.ts";
import { noTenantLimits } from "../../core/tenant-limits.ts";
import { deliveriesOf } from "../../core/webhook.ts";
import type { Webhooks } from "../../core/webhook-store.ts";
import { answered } from "../core/answered.ts";
import { grantOf } from "../core/new-key.ts";
import { newRun } from "../core/new-run.ts";
import { newEndpoint } from "../core/new-webhook.ts";
import { fakeClock } from "./fake-clock.ts";

/** An empty store. */
export interface OpenRetention {
  readonly runs: Runs;
  readonly webhooks: Webhooks;
  readonly images: Images;
  readonly retention: Retention;
  readonly audit: Audit;
  readonly tenants: Tenants;
  close(): Promise<void>;
}

/** What every store promises about what it deletes. */
export function retentionContract(
  name: string,
  open: (clock: Clock) => Promise<OpenRetention>,
  /** More than the store deletes in a step. */
  manyRuns: number,
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

    const entries = async () =>
      (await store.audit.list({ ...anyEntry, first: 9, after: null })).entries;
    const entryOf = (action: "run.delete" | "image.delete", id: string) =>
      auditEntry({ clock, by: commandLine }, action, {
        subject: { type: "Run", id, tenantId: "ten_1" },
      });

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

    test("a deleted run is as one that never was, with its image, deliveries and key; its charges stay", async () => {
      const run = await end(await take("gone"));
      const other = await end(await take("other"));
      const span = { from: clock.now() - 3_600_000, to: clock.now() + 3_600_000 };
      const used = await store.runs.usage("ten_1", span);
      const entry = entryOf("run.delete", run.id);
      expect(await store.retention.removeRun("ten_1", run.id, entry)).toBe("removed");
      expect(await store.retention.removeRun("ten_1", run.id, entryOf("run.delete", run.id))).toBe(
        "missing",
      );
      expect(await store.runs.get("ten_1", run.id)).toBeNull();
      expect(await store.runs.findByKey("ten_1", `key ${run.id}`)).toBeNull();
      expect(await store.images.get("ten_1", run.image.id)).toBeNull();
      expect(await deliveriesTo("ten_1")).toEqual([other.id]);
      const { runs } = await store.runs.list("ten_1", { first: 9, after: null, status: null });
      expect(runs.map(({ id }) => id)).toEqual([other.id]);
      expect(await store.runs.usage("ten_1", span)).toEqual(used);
      expect(await entries()).toEqual([entry]);
      const again = newRun({ ...run, id: "run_again", status: "QUEUED" });
      await store.images.put("ten_1", run.image, bytes);
      const key = { key: `key ${run.id}`, inputHash: "another" };
      expect(await store.runs.create(again, key)).toMatchObject({ outcome: "created" });
    });

    test("an unfinished run and another tenant's stay", async () => {
      const open = await take("open");
      const ended = await end(await take("ended"));
      const entry = entryOf("run.delete", open.id);
      expect(await store.retention.removeRun("ten_1", open.id, entry)).toBe("unfinished");
      expect(await store.retention.removeRun("ten_2", ended.id, entry)).toBe("missing");
      expect(await store.runs.get("ten_1", open.id)).toEqual(open);
      expect(await store.runs.get("ten_1", ended.id)).toEqual(ended);
      expect(await entries()).toEqual([]);
    });

    test("an event that waits goes with its run, and nothing is delivered", async () => {
      const run = await take("told");
      const ended: Run = { ...run, version: 2, status: "EXPIRED", finishedAt: clock.now() };
      await store.runs.replace(ended);
      const [event] = await store.webhooks.outbox(10);
      if (!event) throw new Error("The run's end left an event.");
      await store.retention.removeRun("ten_1", run.id);
      expect(await store.webhooks.outbox(10)).toEqual([]);
      expect(await store.webhooks.fanOut(event, [])).toBe(false);
    });

    test("who waits for a run sees at once that it was deleted", async () => {
      const run = await end(await take("awaited"));
      const waiting = store.runs.changed("ten_1", run.id, run.version, 30_000);
      await store.retention.removeRun("ten_1", run.id);
      await waiting;
      expect(await store.runs.get("ten_1", run.id)).toBeNull();
    });

    test("an image is deleted though finished runs have it, and not while an unfinished one does", async () => {
      const image = imageNamed("img_needed");
      const ended = await end(await take("ended", { image }));
      const open = await take("open", { image });
      const entry = entryOf("image.delete", image.id);
      expect(await store.retention.removeImage("ten_1", image.id, entry)).toBe("needed");
      expect(await store.retention.removeImage("ten_2", image.id, entry)).toBe("missing");
      expect(await store.images.read("ten_1", image.id)).not.toBeNull();
      await end(open);
      expect(await store.retention.removeImage("ten_1", image.id, entry)).toBe("removed");
      expect(await store.retention.removeImage("ten_1", image.id, entry)).toBe("missing");
      expect(await store.images.read("ten_1", image.id)).toBeNull();
      expect(await store.runs.get("ten_1", ended.id)).toEqual(ended);
      expect(await entries()).toEqual([entry]);
    });

    test("whatever comes first, a run that was stored has its image", async () => {
      const image = imageNamed("img_raced");
      await end(await take("first", { image }));
      for (let round = 0; round < 20; round += 1) {
        const late = newRun({ id: `run_late${round}`, image });
        const [, { outcome }] = await Promise.all([
          store.retention.removeImage("ten_1", image.id),
          store.images.put("ten_1", image, bytes).then(() => store.runs.create(late, null)),
        ]);
        if (outcome === "created") {
          expect(await store.images.read("ten_1", image.id)).not.toBeNull();
          await end(late);
        } else expect(outcome).toBe("imageGone");
      }
    });

    test("all of a tenant goes, runs that have not finished too, and is counted; sums and other tenants stay", async () => {
      const other = await end(await take("kept", { tenantId: "ten_2" }));
      for (const id of ["ten_1", "ten_2"])
        await store.tenants.create({ ...newTenant, id, name: id });
      await end(await take("a"));
      await end(await take("b"));
      await take("open");
      await store.webhooks.createEndpoint(newEndpoint());
      const { key } = mintKey(grantOf("ten_1"), "pepper", clock.now());
      await store.tenants.createKey(key);
      const span = { from: clock.now() - 3_600_000, to: clock.now() + 3_600_000 };
      const used = await store.runs.usage("ten_1", span);
      expect(await store.tenants.beginDeletion("ten_none", 5)).toBe(false);
      expect(await store.tenants.beginDeletion("ten_1", clock.now())).toBe(true);
      expect(await store.tenants.setDisabled("ten_1", null)).toBe(false);
      expect((await store.tenants.get("ten_1"))?.disabledAt).toBe(clock.now());
      clock.advance(7);
      expect(await store.tenants.beginDeletion("ten_1", clock.now())).toBe(true);
      await eraseDeletedTenants({ ...store, clock }, { pause: async () => true });

      const deleted = await store.tenants.get("ten_1");
      expect(deleted).toMatchObject({ name: "", limits: noTenantLimits });
      expect(deleted?.deletion).toMatchObject({
        startedAt: clock.now() - 7,
        finishedAt: clock.now(),
        erased: { runs: 3, images: 3, deliveries: 2, endpoints: 1, apiKeys: 1 },
      });
      const { runs } = await store.runs.list("ten_1", { first: 9, after: null, status: null });
      expect([runs, await deliveriesTo("ten_1")]).toEqual([[], []]);
      expect(await store.webhooks.endpoints("ten_1")).toEqual([]);
      expect(await store.tenants.findKey(key.id)).toBeNull();
      expect(await store.images.read("ten_1", "img_open")).toBeNull();
      expect(await store.runs.usage("ten_1", span)).toEqual(used);
      expect(await store.runs.get("ten_2", other.id)).toEqual(other);
      expect(await store.images.read("ten_2", other.image.id)).not.toBeNull();
      expect(await store.tenants.setDisabled("ten_1", null)).toBe(false);

      await take("late"); // of a request that was on its way
      await eraseDeletedTenants({ ...store, clock }, { pause: async () => true });
      expect(await store.runs.get("ten_1", "run_late")).toBeNull();
      clock.advance(dayMs + 1);
      expect(await store.tenants.deletions(clock.now() - dayMs)).toEqual([]);
    });

    test("many runs go in several steps, none of which is long", async () => {
      for (let i = 0; i < manyRuns; i += 1) await end(await take(`many${i}`));
      let steps = 0;
      for (;;) {
        const done = await store.retention.expire("ten_1", clock.now() + 1);
        if (isNothing(done)) break;
        expect(done.runs).toBeLessThanOrEqual(100);
        steps += 1;
      }
      expect(steps).toBeGreaterThan(1);
      const left = await store.runs.list("ten_1", { first: 1, after: null, status: null });
      expect(left.runs).toEqual([]);
      expect(await deliveriesTo("ten_1")).toEqual([]);
    });
  });
}

const newTenant = { createdAt: 0, disabledAt: null };

export const bytes = Buffer.from("these bytes stand for a picture");

function imageNamed(id: string): StoredImage {
  const sha256 = "3b0ef0ab6b1eabbb2ad7ef97f9a4f3aa6e3fd7e5b8c8b0e3e4a2a2e1f2d4c6b8";
  return { id, sha256, mediaType: "image/png", byteSize: bytes.length, width: 4, height: 3 };
}
