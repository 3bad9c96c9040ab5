import { expect, test } from "vitest";
import { AppError } from "../../core/errors.ts";
import { openLanes } from "../../inference/lanes.ts";
import { virtualTimers } from "./virtual-timers.ts";

interface Lane {
  ask(items: readonly string[], signal?: AbortSignal, tenant?: string): Promise<readonly string[]>;
}

interface Batch {
  readonly items: readonly string[];
  readonly signal: AbortSignal;
  done(): Promise<void>;
  fail(error: unknown): Promise<void>;
}

/** Lanes in virtual time whose batches end when the test says so. A result is the item, shouted. */
function setUp() {
  const timers = virtualTimers();
  const opened = openLanes({ timers, rowsMax: 24, batchMsMax: 5_000 });
  const lanes = { enter: (tenant = "loud") => opened.enter(tenant) };
  const batches: Batch[] = [];
  const open = (rows = 1): Lane => {
    const lane = opened.open<string, string>({
      itemsMax: 24,
      rows: () => rows,
      run: (items, signal) =>
        new Promise((resolve, reject) => {
          batches.push({
            items,
            signal,
            done: () => settled(() => resolve(items.map((item) => item.toUpperCase()))),
            fail: (error) => settled(() => reject(error)),
          });
        }),
    });
    return { ask: (items, signal, tenant = "loud") => lane.ask(items, { tenant, signal }) };
  };
  const at = (i: number): Batch => batches[i] ?? expect.unreachable(`there is no batch ${i}`);
  return { timers, lanes, batches, at, open };
}

async function settled(change: () => void): Promise<void> {
  change();
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
}

/**
 * A lane that has learned that an item costs less in company: its next batches take what there is.
 */
async function learned(world: ReturnType<typeof setUp>, lane: Lane): Promise<void> {
  for (const items of [1, 2, 4, 8, 16]) {
    const answer = lane.ask(Array.from({ length: items }, () => "warm"));
    world.timers.advance(10 + items);
    await world.at(world.batches.length - 1).done();
    await answer;
  }
  world.batches.length = 0;
}

test("a lone request goes at once, and nobody asks to be woken", async () => {
  const { timers, lanes, batches, at, open } = setUp();
  const lane = open();
  const leave = lanes.enter();
  for (let i = 0; i < 3; i += 1) {
    const answer = lane.ask(["a"]);
    expect(batches).toHaveLength(i + 1);
    await at(i).done();
    expect(await answer).toEqual(["A"]);
  }
  leave();
  expect(timers.armed).toBe(0);
});

test("where other runs are about to ask, a request waits for them, and goes once all have asked", async () => {
  const world = setUp();
  const lane = world.open();
  await learned(world, lane);
  for (let i = 0; i < 3; i += 1) world.lanes.enter();
  const answers = [lane.ask(["a"]), lane.ask(["b"])];
  world.timers.advance(9);
  expect(world.batches).toHaveLength(0);
  answers.push(lane.ask(["c"]));
  expect(world.batches.map(({ items }) => items)).toEqual([["a", "b", "c"]]);
  await world.at(0).done();
  expect(await Promise.all(answers)).toEqual([["A"], ["B"], ["C"]]);
});

test("a request waits 10 ms for others at most, from its own coming on", async () => {
  const world = setUp();
  const lane = world.open();
  await learned(world, lane);
  for (let i = 0; i < 3; i += 1) world.lanes.enter();
  lane.ask(["a"]);
  world.timers.advance(6);
  lane.ask(["b"]);
  world.timers.advance(3.9);
  expect(world.batches).toHaveLength(0);
  world.timers.advance(0.1);
  expect(world.batches.map(({ items }) => items)).toEqual([["a", "b"]]);
});

test("a request goes at once when the last run that might have asked has ended", async () => {
  const world = setUp();
  const lane = world.open();
  await learned(world, lane);
  world.lanes.enter();
  const leave = world.lanes.enter();
  lane.ask(["a"]);
  expect(world.batches).toHaveLength(0);
  leave();
  expect(world.batches).toHaveLength(1);
});

test("a request that no company would make cheaper does not wait for any", () => {
  const { lanes, batches, open } = setUp();
  lanes.enter();
  lanes.enter();
  open().ask(["a"]);
  expect(batches).toHaveLength(1);
});

test("while a batch is at work, requests of its lane gather, and go together when it ends", async () => {
  const world = setUp();
  const lane = world.open();
  await learned(world, lane);
  const first = lane.ask(["a"]);
  const others = [lane.ask(["b"]), lane.ask(["c", "d"])];
  world.timers.advance(1_000);
  expect(world.batches).toHaveLength(1);
  await world.at(0).done();
  expect(await first).toEqual(["A"]);
  expect(world.at(1).items).toEqual(["b", "c", "d"]);
  await world.at(1).done();
  expect(await Promise.all(others)).toEqual([["B"], ["C", "D"]]);
});

test("a lane does not wait for another lane's long batch", async () => {
  const { batches, at, open } = setUp();
  const [long, short] = [open(), open()];
  const slow = long.ask(["a"]);
  const quick = short.ask(["b"]);
  expect(batches).toHaveLength(2);
  await at(1).done();
  expect(await quick).toEqual(["B"]);
  await at(0).done();
  expect(await slow).toEqual(["A"]);
});

test("a request is never cut, and all lanes together keep to the rows that there are", async () => {
  const world = setUp();
  const [wide, other] = [world.open(8), world.open(8)];
  await learned(world, wide);
  await learned(world, other);
  const large = wide.ask(Array.from({ length: 16 }, (_, i) => `${i}`));
  expect(world.at(0).items).toHaveLength(16);
  const small = ["x", "y"].map((item) => other.ask([item]));
  expect(world.batches.slice(1).map(({ items }) => items)).toEqual([["x"]]);
  await world.at(0).done();
  expect(await large).toHaveLength(16);
  await world.at(1).done();
  await world.at(2).done();
  expect(await Promise.all(small)).toEqual([["X"], ["Y"]]);
});

test("one request of a batch that is aborted fails at once; the others get their answers", async () => {
  const world = setUp();
  const lane = world.open();
  await learned(world, lane);
  world.lanes.enter();
  world.lanes.enter();
  const stop = new AbortController();
  const doomed = lane.ask(["a"], stop.signal);
  const other = lane.ask(["b"], new AbortController().signal);
  expect(world.at(0).items).toEqual(["a", "b"]);
  stop.abort();
  await expect(doomed).rejects.toMatchObject({ code: "CANCELED" });
  expect(world.at(0).signal.aborted).toBe(false);
  await world.at(0).done();
  expect(await other).toEqual(["B"]);
});

test("a batch that all have left is aborted", async () => {
  const world = setUp();
  const lane = world.open();
  await learned(world, lane);
  world.lanes.enter();
  world.lanes.enter();
  const stops = [new AbortController(), new AbortController()];
  const doomed = stops.map(({ signal }) => lane.ask(["a"], signal));
  for (const stop of stops) {
    expect(world.at(0).signal.aborted).toBe(false);
    stop.abort();
  }
  expect(world.at(0).signal.aborted).toBe(true);
  const failed = await Promise.allSettled(doomed);
  expect(failed.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
});

test("a request that is aborted while it waits never reaches a batch", async () => {
  const { batches, at, open } = setUp();
  const lane = open();
  const stop = new AbortController();
  const first = lane.ask(["a"]);
  const doomed = lane.ask(["b"], stop.signal);
  stop.abort();
  await expect(doomed).rejects.toMatchObject({ code: "CANCELED" });
  await expect(lane.ask(["c"], stop.signal)).rejects.toMatchObject({ code: "CANCELED" });
  await at(0).done();
  await first;
  expect(batches).toHaveLength(1);
});

test("where a batch fails, each request is tried alone, and only the bad one fails", async () => {
  const world = setUp();
  const lane = world.open();
  await learned(world, lane);
  world.lanes.enter();
  world.lanes.enter();
  const [good, bad] = [lane.ask(["good"]), lane.ask(["bad"])];
  const refused = expect(bad).rejects.toThrow("bad prompt");
  await world.at(0).fail(new Error("bad prompt"));
  await world.at(1).done();
  await world.at(2).fail(new Error("bad prompt"));
  expect(world.batches.map(({ items }) => items)).toEqual([["good", "bad"], ["good"], ["bad"]]);
  expect(await good).toEqual(["GOOD"]);
  await refused;
  const next = lane.ask(["next"]);
  world.timers.advance(10);
  await world.at(3).done();
  expect(await next).toEqual(["NEXT"]);
});

test("a failure that concerns all is not tried again", async () => {
  const world = setUp();
  const lane = world.open();
  await learned(world, lane);
  world.lanes.enter();
  world.lanes.enter();
  const answers = [lane.ask(["a"]), lane.ask(["b"])].map((answer) =>
    expect(answer).rejects.toMatchObject({ code: "MODEL_UNAVAILABLE" }),
  );
  await world.at(0).fail(new AppError("MODEL_UNAVAILABLE", "gone"));
  await Promise.all(answers);
  expect(world.batches).toHaveLength(1);
});

test("a request does not wait for what other tenants' runs may ask", async () => {
  const world = setUp();
  const lane = world.open();
  await learned(world, lane);
  world.lanes.enter("loud");
  world.lanes.enter("loud");
  world.lanes.enter("quiet");
  lane.ask(["q"], undefined, "quiet");
  expect(world.batches.map(({ items }) => items)).toEqual([["q"]]);
});

test("while another tenant has a run in progress, a tenant has half of the rows; alone, all of them", async () => {
  const world = setUp();
  const lane = world.open();
  await learned(world, lane);
  for (let i = 0; i < 4; i += 1) world.lanes.enter("loud");
  const leave = world.lanes.enter("quiet");
  const six = (name: string) => lane.ask([1, 2, 3, 4, 5, 6].map((i) => `${name}${i}`));
  const asked = ["a", "b", "c", "d"].map(six);
  expect(world.batches.map(({ items }) => items.length)).toEqual([12]);
  leave();
  asked.push(six("e"), six("f"));
  await world.at(0).done();
  expect(world.batches.map(({ items }) => items.length)).toEqual([12, 24]);
  await world.at(1).done();
  expect((await Promise.all(asked)).flat()).toHaveLength(36);
});

test("a tenant with little at work goes before the older requests of one that has much", async () => {
  const world = setUp();
  const lane = world.open();
  await learned(world, lane);
  world.lanes.enter("loud");
  world.lanes.enter("quiet");
  const first = lane.ask(["a"]);
  const [second, third, quiet] = [
    lane.ask(["b"]),
    lane.ask(["c"]),
    lane.ask(["q"], undefined, "quiet"),
  ];
  await world.at(0).done();
  expect(world.at(1).items).toEqual(["b", "q", "c"]);
  await world.at(1).done();
  expect(await Promise.all([first, second, third, quiet])).toEqual([["A"], ["B"], ["C"], ["Q"]]);
});

test("a large batch does not hold up another tenant's request: that goes beside it", async () => {
  const { batches, at, lanes, open } = setUp();
  const lane = open(16);
  const leave = [lanes.enter("loud"), lanes.enter("quiet")];
  const loud = lane.ask(["a"], undefined, "loud");
  const more = lane.ask(["b"], undefined, "loud");
  const quiet = lane.ask(["c"], undefined, "quiet");
  expect(batches.map(({ items }) => items)).toEqual([["a"], ["c"]]);
  await at(1).done();
  expect(await quiet).toEqual(["C"]);
  await at(0).done();
  expect(await loud).toEqual(["A"]);
  await at(2).done();
  expect(await more).toEqual(["B"]);
  for (const each of leave) each();
});

test("beside a small batch nobody goes: it will soon have ended, and they share the next", async () => {
  const { batches, at, lanes, open } = setUp();
  const lane = open(2);
  const leave = [lanes.enter("loud"), lanes.enter("quiet")];
  const loud = lane.ask(["a"], undefined, "loud");
  const quiet = lane.ask(["b"], undefined, "quiet");
  expect(batches.map(({ items }) => items)).toEqual([["a"]]);
  await at(0).done();
  expect(await loud).toEqual(["A"]);
  await at(1).done();
  expect(await quiet).toEqual(["B"]);
  for (const each of leave) each();
});
