import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { chargesOf, units } from "../../core/charge.ts";
import { limits } from "../../core/limits.ts";
import type { ChargedRun, Runs } from "../../core/ports.ts";
import type { Run } from "../../core/run.ts";
import { answered } from "../core/answered.ts";
import { newRun } from "../core/new-run.ts";

/** What `open` gives: an empty store, and the same store as another process sees it. */
export interface OpenRuns {
  readonly runs: Runs;
  readonly elsewhere: Runs;
  close(): Promise<void>;
}

/** What every store of runs promises. */
export function runsContract(name: string, open: () => Promise<OpenRuns>): void {
  describe(`runs: ${name}`, () => {
    let store: OpenRuns;
    let runs: Runs;
    beforeEach(async () => {
      store = await open();
      runs = store.runs;
    });
    afterEach(() => store.close());

    const create = async (fields: Partial<Run>) => (await runs.create(newRun(fields), null)).run;
    const next = (run: Run, fields: Partial<Run> = {}): Run => ({
      ...run,
      ...fields,
      version: run.version + 1,
    });
    const idsOf = (list: readonly Run[]) => list.map(({ id }) => id);

    describe("create and get", () => {
      test("a stored run reads back as it was, here and elsewhere", async () => {
        const run = newRun({ metadata: { order: "ü-7", nested: [1, null, { deep: true }] } });
        expect(await runs.create(run, null)).toEqual({ outcome: "created", run });
        expect(await runs.get("ten_1", "run_1")).toEqual(run);
        expect(await store.elsewhere.get("ten_1", "run_1")).toEqual(run);
      });

      test("metadata and keys read back exactly, whatever JavaScript or Unicode makes alike", async () => {
        const given = ["__proto__", "constructor", "toString", "\u00e9", "e\u0301", "a", "A", "a "];
        const others = ["#", "%23", "%", "\u{1F600}".repeat(127), "'", "\n"];
        for (const [i, key] of [...given, ...others].entries()) {
          const metadata = JSON.parse(`{${JSON.stringify(key)}:{"__proto__":[null]}}`);
          const run = newRun({ id: `run_k${i}`, metadata });
          expect((await runs.create(run, { key, inputHash: key })).outcome).toBe("created");
          const found = await store.elsewhere.findByKey(run.tenantId, key);
          expect([found?.run.id, found?.inputHash]).toEqual([run.id, key]);
          expect(JSON.stringify(found?.run.metadata)).toBe(JSON.stringify(metadata));
        }
      });

      test("another tenant's run is as if it were not there", async () => {
        const run = await create({ id: "run_1", tenantId: "ten_1" });
        expect(await runs.get("ten_2", "run_1")).toBeNull();
        expect((await runs.list("ten_2", { first: 10, after: null, status: null })).runs).toEqual(
          [],
        );
        expect(await runs.countUnfinished("ten_2")).toBe(0);
        expect(await runs.replace(next({ ...run, tenantId: "ten_2" }))).toBe(false);
        expect(await runs.get("ten_1", "run_1")).toEqual(run);
      });

      test("the same key and input give the earlier run, as it is now, and store nothing", async () => {
        const first = newRun({ id: "run_1" });
        await runs.create(first, { key: "key", inputHash: "hash" });
        const changed = next(first, { status: "PROCESSING" });
        await runs.replace(changed);
        expect(
          await runs.create(newRun({ id: "run_2" }), { key: "key", inputHash: "hash" }),
        ).toEqual({
          outcome: "replayed",
          run: changed,
        });
        expect(await runs.get("ten_1", "run_2")).toBeNull();
      });

      test("the same key with another input is a mismatch, and stores nothing", async () => {
        const first = newRun({ id: "run_1" });
        await runs.create(first, { key: "key", inputHash: "hash" });
        expect(
          await runs.create(newRun({ id: "run_2" }), { key: "key", inputHash: "other" }),
        ).toEqual({ outcome: "mismatch", run: first });
        expect(await runs.get("ten_1", "run_2")).toBeNull();
      });

      test("a run is found by its key, as it is now, by its tenant only", async () => {
        const first = newRun({ id: "run_1" });
        await runs.create(first, { key: "key", inputHash: "hash" });
        const changed = next(first, { status: "PROCESSING" });
        await runs.replace(changed);
        expect(await store.elsewhere.findByKey("ten_1", "key")).toEqual({
          run: changed,
          inputHash: "hash",
        });
        expect(await runs.findByKey("ten_1", "other key")).toBeNull();
        expect(await runs.findByKey("ten_2", "key")).toBeNull();
      });

      test("tenants do not share their keys", async () => {
        await runs.create(newRun({ id: "run_1", tenantId: "ten_1" }), {
          key: "key",
          inputHash: "hash",
        });
        const { outcome } = await runs.create(newRun({ id: "run_2", tenantId: "ten_2" }), {
          key: "key",
          inputHash: "hash",
        });
        expect(outcome).toBe("created");
      });

      test("of many requests at once with one key, exactly one creates", async () => {
        const made = await Promise.all(
          Array.from({ length: 20 }, (_, i) =>
            (i % 2 ? runs : store.elsewhere).create(newRun({ id: `run_${i}` }), {
              key: "key",
              inputHash: "hash",
            }),
          ),
        );
        expect(made.filter(({ outcome }) => outcome === "created")).toHaveLength(1);
        expect(new Set(made.map(({ run }) => run.id)).size).toBe(1);
        expect(
          (await runs.list("ten_1", { first: 100, after: null, status: null })).runs,
        ).toHaveLength(1);
      });
    });

    describe("a run that keeps nothing", () => {
      const day = limits.run.unreadKeptMs;
      const ended = async (id: string, fields: Partial<Run> = {}) => {
        const run = await create({ id, ...fields });
        const end = { status: "SUCCEEDED", finishedAt: 100 } as const;
        expect(await runs.replace(next(run, end))).toBe(true);
      };
      const erasable = async (by: number) =>
        (await store.elsewhere.erasable(by, 10)).map(({ id }) => id);

      test("may be deleted a day after its end; others, and unfinished ones, never", async () => {
        await ended("run_kept");
        await create({ id: "run_open", keep: "NONE" });
        await ended("run_none", { keep: "NONE" });
        await runs.eraseFrom("ten_1", "run_kept", 1);
        await runs.eraseFrom("ten_1", "run_open", 1);
        expect(await erasable(99 + day)).toEqual([]);
        expect(await erasable(100 + day)).toEqual(["run_none"]);
        expect(await runs.erasable(100 + day, 10)).toEqual([{ tenantId: "ten_1", id: "run_none" }]);
        expect(await runs.get("ten_1", "run_none")).toMatchObject({ keep: "NONE", version: 2 });
      });

      test("may be deleted sooner once it was read, never later, and by its own tenant only", async () => {
        await ended("run_none", { keep: "NONE" });
        await runs.eraseFrom("ten_2", "run_none", 1);
        expect(await erasable(1_000)).toEqual([]);
        await runs.eraseFrom("ten_1", "run_none", 500);
        await runs.eraseFrom("ten_1", "run_none", 900);
        expect(await erasable(499)).toEqual([]);
        expect(await erasable(500)).toEqual(["run_none"]);
        await runs.eraseFrom("ten_1", "run_gone", 500);
      });

      test("comes longest overdue first, as many as asked for", async () => {
        for (const [i, id] of ["run_b", "run_c", "run_a"].entries()) {
          await ended(id, { keep: "NONE" });
          await runs.eraseFrom("ten_1", id, 30 - i);
        }
        expect(await erasable(30)).toEqual(["run_a", "run_c", "run_b"]);
        expect((await runs.erasable(30, 2)).map(({ id }) => id)).toEqual(["run_a", "run_c"]);
      });
    });

    describe("replace", () => {
      test("a change of the version that was read is taken", async () => {
        const changed = next(await create({}), { status: "PROCESSING", attempt: 1, startedAt: 5 });
        expect(await runs.replace(changed)).toBe(true);
        expect(await store.elsewhere.get("ten_1", "run_1")).toEqual(changed);
      });

      test("a change of an older version is refused and changes nothing", async () => {
        const run = await create({});
        const changed = next(run, { status: "PROCESSING" });
        await runs.replace(changed);
        expect(await runs.replace(next(run, { status: "CANCELED" }))).toBe(false);
        expect(await runs.get("ten_1", "run_1")).toEqual(changed);
      });

      test("a run that was never stored cannot be replaced", async () => {
        expect(await runs.replace(newRun({ version: 2 }))).toBe(false);
        expect(await runs.get("ten_1", "run_1")).toBeNull();
      });

      test("of two changes at once, exactly one is taken", async () => {
        const run = await create({});
        const taken = await Promise.all([
          runs.replace(next(run, { attempt: 1 })),
          store.elsewhere.replace(next(run, { attempt: 2 })),
        ]);
        expect(taken.filter(Boolean)).toHaveLength(1);
      });
    });

    describe("usage", () => {
      const span = { from: 0, to: 1_000 };
      const none = { runs: 0, tasks: 0, encodings: 0, tokens: 0, cost: 0 };
      /** The run's last version: both tasks answered. */
      const finish = (run: Run, finishedAt: number) =>
        next(run, {
          status: "SUCCEEDED",
          finishedAt,
          tasks: run.tasks.map((task, i) => ({ ...task, outcome: answered(10 + i) })),
        });
      const cost = units.encoding + 2 * units.prompt + 21 * units.token;

      test("a run is charged when it ends, once, to its tenant", async () => {
        const run = await create({});
        const started = next(run, { status: "PROCESSING" });
        await runs.replace(started);
        expect(await runs.usage("ten_1", span)).toEqual(none);
        const ended = finish(started, 500);
        expect([await runs.replace(ended), await store.elsewhere.replace(ended)]).toEqual([
          true,
          false,
        ]);
        expect(await store.elsewhere.usage("ten_1", span)).toEqual({
          runs: 1,
          tasks: 2,
          encodings: 1,
          tokens: 21,
          cost,
        });
        expect(await runs.usage("ten_2", span)).toEqual(none);
      });

      test("a span counts what ended in it to the millisecond, over hours", async () => {
        const hour = 3_600_000;
        const ends = [hour / 2, hour, 1.5 * hour, 2 * hour - 1, 2 * hour, 30 * hour + 7];
        for (const [i, at] of ends.entries()) {
          const run = await create({ id: `run_${i}` });
          expect(await runs.replace(finish(run, at))).toBe(true);
        }
        for (const [from, to] of [
          [0, 31 * hour],
          [hour / 2, 2 * hour],
          [hour / 2 + 1, 2 * hour + 1],
          [hour, 30 * hour + 7],
          [1.2 * hour, 1.8 * hour],
          [2 * hour, 2 * hour],
          [40 * hour, 2 * hour],
        ] as const) {
          const inside = ends.filter((at) => at >= from && at < to).length;
          const expected = {
            runs: inside,
            tasks: 2 * inside,
            encodings: inside,
            tokens: 21 * inside,
            cost: cost * inside,
          };
          expect(await store.elsewhere.usage("ten_1", { from, to }), `${from} to ${to}`).toEqual(
            expected,
          );
        }
      });

      test("sums are the ledger's for odd spans: months, days, hours and pieces of them", async () => {
        const ends = [
          ...["2024-01-31T23:59:59.999Z", "2024-02-01T00:00:00.000Z", "2024-02-28T23:59:59.999Z"],
          ...["2024-02-29T00:00:00.000Z", "2024-02-29T13:37:01.234Z", "2024-03-01T00:00:00.000Z"],
          ...["2024-03-31T22:59:59.999Z", "2024-12-31T23:59:59.999Z", "2025-01-01T00:00:00.000Z"],
          ...["2025-01-01T00:59:59.999Z", "2025-01-02T00:00:00.001Z", "2025-06-30T12:00:00.000Z"],
        ].map((text) => Date.parse(text));
        for (const [i, at] of ends.entries()) {
          const run = await create({ id: `run_${i}`, tenantId: i % 4 ? "ten_1" : "ten_2" });
          expect(await runs.replace(finish(run, at))).toBe(true);
        }
        const hour = 3_600_000;
        const edges = ends.flatMap((at) => [
          ...[at - 1, at, at + 1],
          ...[Math.floor(at / hour) * hour, Math.ceil(at / (24 * hour)) * 24 * hour],
        ]);
        const spans = [0, ...edges].flatMap((from, i) =>
          [...edges.slice(i), 4_102_444_800_000]
            .filter((_, j) => (i + j) % 14 === 0)
            .map((to) => ({ from, to })),
        );
        expect(spans.length).toBeGreaterThan(100);
        for (const { from, to } of spans) {
          const inside = ends.filter((at, i) => i % 4 && at >= from && at < to).length;
          const expected = { runs: inside, tasks: 2 * inside, encodings: inside };
          expect(await store.elsewhere.usage("ten_1", { from, to }), `${from} to ${to}`).toEqual({
            ...expected,
            tokens: 21 * inside,
            cost: cost * inside,
          });
        }
      });

      test("of many runs that end at once, each is counted", async () => {
        const created = await Promise.all(
          Array.from({ length: 20 }, (_, i) => create({ id: `run_${i}` })),
        );
        await Promise.all(
          created.map((run, i) =>
            (i % 2 ? runs : store.elsewhere).replace(finish(run, 10_000_000)),
          ),
        );
        expect(await runs.usage("ten_1", { from: 0, to: 20_000_000 })).toMatchObject({
          runs: 20,
          tasks: 40,
        });
      });

      test("the ledger is read by run, in pages, the oldest first, ties by id", async () => {
        for (let i = 0; i < 7; i += 1)
          await runs.replace(finish(await create({ id: `run_${6 - i}` }), 100 + Math.floor(i / 3)));
        await runs.replace(finish(await create({ id: "run_x", tenantId: "ten_2" }), 100));
        const found: ChargedRun[] = [];
        for (let page: ChargedRun[] = []; ; ) {
          page = await store.elsewhere.ledger("ten_1", { first: 3, after: found.at(-1) ?? null });
          expect(page.length).toBeLessThanOrEqual(3);
          if (page.length === 0) break;
          found.push(...page);
        }
        const order = ["run_4", "run_5", "run_6", "run_1", "run_2", "run_3", "run_0"];
        expect(found.map(({ runId }) => runId)).toEqual(order);
        for (const { runId, at, charges } of found) {
          const run = await runs.get("ten_1", runId);
          expect(run && chargesOf(run)).toEqual(charges);
          expect(charges.map((charge) => charge.at)).toEqual([at, at]);
        }
      });

      test("a refused end is not charged", async () => {
        const run = await create({});
        await runs.replace(next(run, { status: "CANCELED", finishedAt: 400 }));
        expect(await runs.replace(finish(run, 500))).toBe(false);
        expect(await runs.usage("ten_1", span)).toEqual(none);
      });

      test("a span begins with its first instant and ends before its last", async () => {
        for (const [i, at] of [100, 200, 300].entries())
          await runs.replace(finish(await create({ id: `run_${i}` }), at));
        expect(await runs.usage("ten_1", { from: 100, to: 300 })).toEqual({
          runs: 2,
          tasks: 4,
          encodings: 2,
          tokens: 42,
          cost: 2 * cost,
        });
        expect(await runs.usage("ten_1", { from: 100, to: 100 })).toEqual(none);
      });
    });

    describe("list", () => {
      test("pages hold every run once, newest first, ties in one order", async () => {
        for (let i = 0; i < 25; i += 1)
          await create({
            id: `run_${String(i).padStart(2, "0")}`,
            createdAt: 1_000 + Math.floor(i / 3),
          });
        const pages: Run[][] = [];
        let after: string | null = null;
        for (let more = true; more; ) {
          const page = await runs.list("ten_1", { first: 10, after, status: null });
          pages.push([...page.runs]);
          more = page.hasNextPage;
          const last = page.runs.at(-1);
          after = last ? page.cursorOf(last) : null;
        }
        expect(pages.map(({ length }) => length)).toEqual([10, 10, 5]);
        const times = pages.flat().map(({ createdAt }) => createdAt);
        expect(times).toEqual([...times].sort((a, b) => b - a));
        expect(new Set(idsOf(pages.flat())).size).toBe(25);
      });

      test("a page that ends with the last run has no next one", async () => {
        for (const id of ["run_1", "run_2"]) await create({ id });
        expect(
          (await runs.list("ten_1", { first: 2, after: null, status: null })).hasNextPage,
        ).toBe(false);
        expect(
          (await runs.list("ten_1", { first: 1, after: null, status: null })).hasNextPage,
        ).toBe(true);
      });

      test("runs that come meanwhile do not shift the pages", async () => {
        for (let i = 1; i <= 4; i += 1) await create({ id: `run_${i}`, createdAt: i });
        const page = await runs.list("ten_1", { first: 2, after: null, status: null });
        await create({ id: "run_5", createdAt: 5 });
        const [, last] = page.runs;
        const rest = await runs.list("ten_1", {
          first: 10,
          after: last ? page.cursorOf(last) : null,
          status: null,
        });
        expect(idsOf(page.runs)).toEqual(["run_4", "run_3"]);
        expect(idsOf(rest.runs)).toEqual(["run_2", "run_1"]);
      });

      test("a status filter gives those and no others, across pages", async () => {
        const statuses = ["QUEUED", "PROCESSING", "SUCCEEDED", "FAILED"] as const;
        for (let i = 0; i < 12; i += 1)
          await create({ id: `run_${10 + i}`, createdAt: i, status: statuses[i % 4] ?? "QUEUED" });
        const wanted = { first: 4, status: ["SUCCEEDED", "FAILED"] as const };
        const page = await runs.list("ten_1", { ...wanted, after: null });
        const last = page.runs.at(-1);
        const rest = await runs.list("ten_1", {
          ...wanted,
          after: last ? page.cursorOf(last) : null,
        });
        expect(idsOf([...page.runs, ...rest.runs])).toEqual([
          "run_21",
          "run_20",
          "run_17",
          "run_16",
          "run_13",
          "run_12",
        ]);
        expect([page.hasNextPage, rest.hasNextPage]).toEqual([true, false]);
        expect((await runs.list("ten_1", { first: 9, after: null, status: [] })).runs).toEqual([]);
      });

      test.each(["", "nonsense", "%%%", Buffer.from("x run_1").toString("base64url")])(
        "the cursor %j is refused",
        async (after) => {
          await expect(runs.list("ten_1", { first: 1, after, status: null })).rejects.toMatchObject(
            {
              code: "INVALID",
              inputPath: ["after"],
            },
          );
        },
      );
    });

    describe("unfinished", () => {
      test("finished runs are not counted, other tenants' neither", async () => {
        for (const [i, status] of (
          ["QUEUED", "PROCESSING", "SUCCEEDED", "CANCELED", "EXPIRED"] as const
        ).entries()) {
          await create({ id: `run_${i}`, status });
        }
        await create({ id: "run_9", tenantId: "ten_2" });
        expect(await runs.countUnfinished("ten_1")).toBe(2);
      });

      test("the sweeper reads all tenants' queued runs before an instant, oldest first, no more than it asks for", async () => {
        await create({ id: "run_3", createdAt: 30 });
        await create({ id: "run_1", createdAt: 10, tenantId: "ten_2" });
        await create({ id: "run_2", createdAt: 20 });
        await create({ id: "run_0", createdAt: 5, status: "PROCESSING" });
        expect(idsOf(await runs.queued(30, 10))).toEqual(["run_1", "run_2"]);
        expect(idsOf(await runs.queued(31, 2))).toEqual(["run_1", "run_2"]);
        expect(idsOf(await runs.queued(31, 3))).toEqual(["run_1", "run_2", "run_3"]);
      });

      test("the sweeper reads all tenants' overdue runs, longest overdue first, and none that somebody works on", async () => {
        await create({ id: "run_2", createdAt: 1, expiresAt: 200 });
        await create({ id: "run_1", createdAt: 2, expiresAt: 100, tenantId: "ten_2" });
        await create({ id: "run_0", createdAt: 3, expiresAt: 50, status: "PROCESSING" });
        expect(idsOf(await runs.overdue(99, 10))).toEqual([]);
        expect(idsOf(await runs.overdue(200, 10))).toEqual(["run_1", "run_2"]);
        expect(idsOf(await runs.overdue(200, 1))).toEqual(["run_1"]);
      });
    });

    describe("changed", () => {
      test("a change made elsewhere ends the wait", async () => {
        const run = await create({});
        const waiting = runs.changed("ten_1", "run_1", 1, 25_000);
        await store.elsewhere.replace(next(run));
        await waiting;
        expect((await runs.get("ten_1", "run_1"))?.version).toBe(2);
      });

      test("the change of one run does not end the wait for another", async () => {
        const [one] = [await create({ id: "run_1" }), await create({ id: "run_2" })];
        let ended = false;
        const stop = new AbortController();
        const other = runs.changed("ten_1", "run_2", 1, 25_000, stop.signal).then(() => {
          ended = true;
        });
        const waiting = runs.changed("ten_1", "run_1", 1, 25_000);
        await runs.replace(next(one));
        await waiting;
        expect(ended).toBe(false);
        stop.abort();
        await other;
      });

      test("there is no wait for a change that has been", async () => {
        await runs.replace(next(await create({})));
        await runs.changed("ten_1", "run_1", 1, 25_000);
      });

      test("nothing changes: the wait ends by itself, neither early nor late", async () => {
        await create({});
        const started = performance.now();
        await runs.changed("ten_1", "run_1", 1, 60);
        const tookMs = performance.now() - started;
        expect(tookMs).toBeGreaterThanOrEqual(59);
        expect(tookMs).toBeLessThan(5_000);
      });

      test("an abort ends the wait, before it and during it", async () => {
        await create({});
        const stop = new AbortController();
        const waiting = runs.changed("ten_1", "run_1", 1, 25_000, stop.signal);
        stop.abort();
        await waiting;
        await runs.changed("ten_1", "run_1", 1, 25_000, stop.signal);
      });
    });
  });
}
