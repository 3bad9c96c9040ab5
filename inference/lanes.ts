import { concernsAll } from "./answer-tasks.ts";
import { openBatchSize } from "./batch-size.ts";
import { chooseBatch, type Extent, openTally } from "./fair-share.ts";
import { openMeter, type Timers } from "./meter.ts";
import { openRequest, type Request, runTogether } from "./request.ts";

/** Requests of one kind, which may share batches; a request itself is never cut. */
export interface Lane<Item, Result> {
  /**
   * One result for each item, in order. Throws what the work throws on this request alone, and
   * AppError CANCELED as soon as `signal` is aborted: the batch goes on for its other requests, and
   * ends early only where all have left it.
   */
  ask(
    items: readonly Item[],
    asker: { readonly tenant: string; readonly signal?: AbortSignal | undefined },
  ): Promise<readonly Result[]>;
}

/** What the batches of a lane do. */
export interface LaneWork<Item, Result> {
  /** Of one batch; one request may bring more. */
  readonly itemsMax: number;
  /** What an item takes of `rowsMax`. */
  rows(item: Item): number;
  /** `turn` is to be awaited before each piece of work. */
  run(
    items: readonly Item[],
    signal: AbortSignal,
    turn: () => Promise<void>,
  ): Promise<readonly Result[]>;
}

/** Lanes that share one engine. */
export interface Lanes {
  /**
   * Says that a tenant's run has begun, which may ask; the returned function says that it has
   * ended.
   */
  enter(tenant: string): () => void;
  open<Item, Result>(work: LaneWork<Item, Result>): Lane<Item, Result>;
}

/**
 * So long does a request wait, at most, for those of other runs in progress, where its lane is
 * free.
 */
const waitMsMax = 10;
/**
 * So long does a large batch let smaller ones of other tenants pass, at most, before each of its
 * tokens; and in so many turns of the event loop.
 */
const yielding = { msMax: 20, turnsMax: 64 } as const;

/**
 * A lane has one batch at work at a time, and one more for tenants that are not in it where it is
 * large; meanwhile its requests gather. Where it is free, a request goes at once if every run in
 * progress of its tenant has asked (so a lone one always does) or the batch is full, and after 10
 * ms in any case. Batches of several lanes are at work side by side, token by token, so that short
 * answers pass long ones, and a large batch lets smaller ones of other tenants go before it; beyond
 * one request for each lane they hold at most `rowsMax` rows, and of these a tenant has its equal
 * share while others have runs in progress: nobody's answers are stretched by all that another has
 * to ask.
 */
export function openLanes(setup: { timers: Timers; rowsMax: number; batchMsMax: number }): Lanes {
  const { timers, rowsMax, batchMsMax } = setup;
  const lanes: { waitsSince(): number; consider(): void }[] = [];
  const meter = openMeter(timers);
  const runs = openTally(); // in progress, by tenant
  const asking = openTally();

  function considerAll(): void {
    const waiting = lanes.filter((lane) => lane.waitsSince() < Number.POSITIVE_INFINITY);
    for (const lane of waiting.sort((a, b) => a.waitsSince() - b.waitsSince())) lane.consider();
  }

  /**
   * The turns of a batch of so many rows: it lets go first whoever else has at most half as many at
   * work.
   */
  function turnsFor(tenants: ReadonlySet<string>, rows: number): () => Promise<void> {
    const isInTheWay = () =>
      [...meter.tenants()].some(
        (tenant) => !tenants.has(tenant) && meter.rowsOf(tenant) * 2 <= rows,
      );
    return async () => {
      await timers.turn();
      const until = timers.now() + yielding.msMax;
      for (
        let turns = 1;
        turns < yielding.turnsMax && timers.now() < until && isInTheWay();
        turns += 1
      )
        await timers.turn();
    };
  }

  function open<Item, Result>(work: LaneWork<Item, Result>): Lane<Item, Result> {
    const size = openBatchSize({ itemsMax: work.itemsMax, batchMsMax });
    let waiting: Asked<Item, Result>[] = [];
    const atWork: (readonly Asked<Item, Result>[])[] = [];
    let callOff = () => {};

    const waitsSince = () => waiting[0]?.request.since ?? Number.POSITIVE_INFINITY;

    function consider(): void {
      callOff();
      callOff = () => {};
      const ready = admitted();
      if (ready.length === 0) return;
      const itemsMax = size.max();
      const room = { items: itemsMax, rows: rowsMax - meter.rows() };
      const chosen = chooseBatch(ready.map(extent), {
        room,
        shareRows: rowsMax / runs.tenants(),
        rowsOf: meter.rowsOf,
      });
      const isFull =
        chosen.length < ready.length ||
        sum(ready.map(({ request }) => request.items.length)) >= itemsMax;
      const leftMs = waitsSince() + waitMsMax - timers.now();
      const isAwaited = ready.some(({ tenant }) => runs.of(tenant) > asking.of(tenant));
      if (isAwaited && !isFull && leftMs > 0) callOff = timers.after(leftMs, consider);
      else void start(take(chosen.flatMap((i) => ready[i] ?? [])));
    }

    /**
     * Whose turn it may be: everybody's where the lane is free; beside one large batch, those of
     * other tenants.
     */
    function admitted(): readonly Asked<Item, Result>[] {
      const [batch, ...others] = atWork;
      if (!batch) return waiting;
      if (others.length > 0 || rowsIn(batch) <= rowsMax / 2) return [];
      return waiting.filter(({ tenant }) => !batch.some((asked) => asked.tenant === tenant));
    }

    function take(taken: readonly Asked<Item, Result>[]): readonly Asked<Item, Result>[] {
      waiting = waiting.filter((asked) => !taken.includes(asked));
      return taken;
    }

    function rowsIn(batch: readonly Asked<Item, Result>[]): number {
      return sum(batch.map((asked) => extent(asked).rows));
    }

    async function start(batch: readonly Asked<Item, Result>[]): Promise<void> {
      atWork.push(batch);
      const requests = batch.map(({ request }) => request);
      const extents = batch.map(extent);
      const end = meter.begin(extents);
      try {
        const turn = turnsFor(new Set(batch.map(({ tenant }) => tenant)), rowsIn(batch));
        await runTogether(requests, (items, signal) => work.run(items, signal, turn));
        size.note(sum(extents.map(({ items }) => items)), end());
      } catch (error) {
        await runEachAlone(
          requests,
          (items, signal) => work.run(items, signal, timers.turn),
          error,
        );
      } finally {
        end();
        atWork.splice(atWork.indexOf(batch), 1);
        considerAll();
      }
    }

    function extent({ request: { items }, tenant }: Asked<Item, Result>): Extent {
      return { tenant, items: items.length, rows: sum(items.map(work.rows)) };
    }

    function ask(
      items: readonly Item[],
      { tenant, signal }: { tenant: string; signal?: AbortSignal | undefined },
    ) {
      const { request, answer } = openRequest<Item, Result>(items, timers.now(), signal);
      const leave = asking.add(tenant);
      waiting.push({ request, tenant });
      request.whenSettled(() => {
        leave();
        waiting = waiting.filter((other) => other.request !== request);
      });
      considerAll();
      return answer;
    }
    lanes.push({ waitsSince, consider });
    return { ask };
  }

  return {
    enter(tenant) {
      const leave = runs.add(tenant);
      return () => {
        leave();
        considerAll();
      };
    },
    open,
  };
}

interface Asked<Item, Result> {
  readonly request: Request<Item, Result>;
  readonly tenant: string;
}

/** After a batch that failed: what is wrong with one request must not be said of the others. */
async function runEachAlone<Item, Result>(
  requests: readonly Request<Item, Result>[],
  run: (items: readonly Item[], signal: AbortSignal) => Promise<readonly Result[]>,
  error: unknown,
): Promise<void> {
  const isCertain = requests.length === 1 || concernsAll(error);
  for (const request of requests) {
    if (isCertain) request.settle({ error });
    else if (request.isOpen())
      await runTogether([request], run).catch((error: unknown) => request.settle({ error }));
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
