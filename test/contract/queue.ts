import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Clock, Lease, Queue } from "../../core/ports.ts";
import type { RunMessage } from "../../core/run.ts";
import { fakeClock } from "./fake-clock.ts";

/** What `open` gives: an empty queue, and the same queue as another process sees it. */
export interface OpenQueue {
  readonly queue: Queue;
  readonly elsewhere: Queue;
  close(): Promise<void>;
}

const leaseMs = 30_000;

/** What every queue promises; `isFair` where it takes turns among tenants at once, by itself. */
export function queueContract(
  name: string,
  open: (clock: Clock) => Promise<OpenQueue>,
  { isFair } = { isFair: true },
): void {
  describe(`queue: ${name}`, () => {
    let opened: OpenQueue;
    let queue: Queue;
    let clock: ReturnType<typeof fakeClock>;
    beforeEach(async () => {
      clock = fakeClock();
      opened = await open(clock);
      queue = opened.queue;
    });
    afterEach(() => opened.close());

    const message = (runId: string, tenantId = "ten_1"): RunMessage => ({
      version: 1,
      tenantId,
      runId,
    });
    const receive = (max = 1, from = queue) => from.receive({ max, waitMs: 0, leaseMs });
    const receiveOne = async (): Promise<Lease> => {
      const [lease] = await receive();
      if (!lease) throw new Error("no message came");
      return lease;
    };

    test("a sent message is received once, whole, and is then invisible to all", async () => {
      await queue.send(message("run_1"));
      const [lease, ...others] = await receive(10, opened.elsewhere);
      expect(lease).toMatchObject({
        message: { version: 1, tenantId: "ten_1", runId: "run_1" },
        receiveCount: 1,
      });
      expect(others).toEqual([]);
      expect(await receive(10)).toEqual([]);
    });

    test("no more messages come than were asked for", async () => {
      for (const id of ["run_1", "run_2", "run_3"]) await queue.send(message(id));
      expect(await receive(2)).toHaveLength(2);
      expect(await receive(2)).toHaveLength(1);
    });

    test("a lease that ends makes the message visible again, with a new receipt and a higher count", async () => {
      await queue.send(message("run_1"));
      const first = await receiveOne();
      clock.advance(leaseMs - 1);
      expect(await receive()).toEqual([]);
      clock.advance(1);
      const second = await receiveOne();
      expect(second.message).toEqual(first.message);
      expect(second.receipt).not.toBe(first.receipt);
      expect([first.receiveCount, second.receiveCount]).toEqual([1, 2]);
    });

    test("a renewed lease lasts longer, and a lost one cannot be renewed", async () => {
      await queue.send(message("run_1"));
      const lease = await receiveOne();
      clock.advance(leaseMs - 1);
      expect(await queue.extend(lease, leaseMs)).toBe(true);
      clock.advance(leaseMs - 1);
      expect(await receive()).toEqual([]);
      clock.advance(1);
      expect(await queue.extend(lease, leaseMs)).toBe(false);
      const later = await receiveOne();
      expect(await queue.extend(lease, leaseMs)).toBe(false);
      expect(await queue.extend(later, leaseMs)).toBe(true);
    });

    test("a removed message never comes again", async () => {
      await queue.send(message("run_1"));
      await queue.remove(await receiveOne());
      clock.advance(leaseMs);
      expect(await receive()).toEqual([]);
      expect(await queue.depth()).toMatchObject({ visible: 0, inFlight: 0, dead: 0 });
    });

    test("a released message comes again after its delay", async () => {
      await queue.send(message("run_1"));
      await queue.release(await receiveOne(), 5_000);
      clock.advance(4_999);
      expect(await receive()).toEqual([]);
      clock.advance(1);
      expect((await receiveOne()).receiveCount).toBe(2);
    });

    test("a message released without delay is there at once", async () => {
      await queue.send(message("run_1"));
      await queue.release(await receiveOne(), 0);
      expect((await receiveOne()).receiveCount).toBe(2);
    });

    test("the receipt of an earlier delivery does nothing any more", async () => {
      await queue.send(message("run_1"));
      const stale = await receiveOne();
      clock.advance(leaseMs);
      const current = await receiveOne();
      await queue.remove(stale);
      await queue.release(stale, 0);
      await queue.bury(stale, "too late");
      expect(await receive()).toEqual([]);
      expect(await queue.depth()).toMatchObject({ inFlight: 1, dead: 0 });
      expect(await queue.extend(current, leaseMs)).toBe(true);
    });

    test("a lease that was given back is lost, though nobody else has the message yet", async () => {
      await queue.send(message("run_1"));
      const lease = await receiveOne();
      await queue.release(lease, 5_000);
      expect(await queue.extend(lease, leaseMs)).toBe(false);
      await queue.remove(lease);
      clock.advance(5_000);
      expect((await receiveOne()).receiveCount).toBe(2);
    });

    test("a buried message never comes again and counts as dead", async () => {
      await queue.send(message("run_1"));
      await queue.bury(await receiveOne(), "it never ended");
      clock.advance(leaseMs);
      expect(await receive()).toEqual([]);
      expect(await queue.depth()).toEqual({ visible: 0, inFlight: 0, dead: 1, oldestAgeMs: 0 });
    });

    test("depth tells what waits, what is worked on and how old the oldest is", async () => {
      expect(await queue.depth()).toEqual({ visible: 0, inFlight: 0, dead: 0, oldestAgeMs: 0 });
      await queue.send(message("run_1"));
      clock.advance(1_000);
      await queue.send(message("run_2"));
      clock.advance(500);
      await receive();
      expect(await opened.elsewhere.depth()).toEqual({
        visible: 1,
        inFlight: 1,
        dead: 0,
        oldestAgeMs: 1_500,
      });
    });

    if (isFair) {
      test("a tenant's few messages do not wait behind another's many", async () => {
        for (let i = 0; i < 50; i += 1) await queue.send(message(`run_a${i}`, "ten_a"));
        for (let i = 0; i < 3; i += 1) await queue.send(message(`run_b${i}`, "ten_b"));
        const tenants = (await receive(6)).map((lease) => lease.message.tenantId);
        expect(tenants.filter((tenant) => tenant === "ten_b")).toHaveLength(3);
      });

      test("other tenants' messages are given to who has enough of one", async () => {
        for (let i = 0; i < 3; i += 1) await queue.send(message(`run_a${i}`, "ten_a"));
        const other = () => queue.receive({ max: 2, waitMs: 0, leaseMs, except: ["ten_a"] });
        expect(await other()).toEqual([]);
        await queue.send(message("run_b", "ten_b"));
        expect((await other()).map((lease) => lease.message.runId)).toEqual(["run_b"]);
        expect(await receive(5)).toHaveLength(3);
      });

      test("a tenant with much in flight gives way to one with little", async () => {
        for (let i = 0; i < 10; i += 1) await queue.send(message(`run_a${i}`, "ten_a"));
        await receive(5);
        clock.advance(1_000);
        for (let i = 0; i < 5; i += 1) await queue.send(message(`run_b${i}`, "ten_b"));
        const tenants = [];
        for (let i = 0; i < 5; i += 1) tenants.push((await receiveOne()).message.tenantId);
        expect(tenants).toEqual(Array.from({ length: 5 }, () => "ten_b"));
      });
    }

    test("within a tenant, the message that waits longest comes first", async () => {
      for (const id of ["run_1", "run_2", "run_3"]) await queue.send(message(id));
      expect((await receive(3)).map((lease) => lease.message.runId)).toEqual([
        "run_1",
        "run_2",
        "run_3",
      ]);
    });

    test("many receivers at once get every message exactly once", async () => {
      for (let i = 0; i < 60; i += 1) await queue.send(message(`run_${i}`, `ten_${i % 4}`));
      const received: string[] = [];
      const drain = async (from: Queue) => {
        for (;;) {
          const leases = await receive(3, from);
          if (leases.length === 0) return;
          received.push(...leases.map((lease) => lease.message.runId));
        }
      };
      await Promise.all([queue, opened.elsewhere, queue, opened.elsewhere].map(drain));
      expect(received).toHaveLength(60);
      expect(new Set(received).size).toBe(60);
    });

    test("a message sent elsewhere ends the wait for one", async () => {
      const waiting = queue.receive({ max: 1, waitMs: 25_000, leaseMs });
      await opened.elsewhere.send(message("run_1"));
      expect((await waiting).map((lease) => lease.message.runId)).toEqual(["run_1"]);
    });

    test("one message ends only one of two waits", async () => {
      const stop = new AbortController();
      const waits = [queue, opened.elsewhere].map((from) =>
        from.receive({ max: 1, waitMs: 25_000, leaseMs, signal: stop.signal }),
      );
      await queue.send(message("run_1"));
      expect(await Promise.race(waits)).toHaveLength(1);
      stop.abort();
      expect((await Promise.all(waits)).flat()).toHaveLength(1);
    });

    test("nothing comes: the wait ends by itself, empty", async () => {
      const started = performance.now();
      expect(await queue.receive({ max: 1, waitMs: 60, leaseMs })).toEqual([]);
      expect(performance.now() - started).toBeGreaterThanOrEqual(59);
    });

    test("an abort ends the wait, empty; after it nothing is taken", async () => {
      const stop = new AbortController();
      const waiting = queue.receive({ max: 1, waitMs: 25_000, leaseMs, signal: stop.signal });
      stop.abort();
      expect(await waiting).toEqual([]);
      await queue.send(message("run_1"));
      expect(await queue.receive({ max: 1, waitMs: 25_000, leaseMs, signal: stop.signal })).toEqual(
        [],
      );
      expect(await queue.depth()).toMatchObject({ visible: 1 });
    });
  });
}
