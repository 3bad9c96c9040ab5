import { concernsAll } from "./answer-tasks.ts";
import { openBatchSize } from "./batch-size.ts";
import { countForBatch, openRequest, type Request, runTogether } from "./request.ts";

/** Where time comes from; tests bring their own. */
export interface Timers {
  /** Milliseconds since any instant. */
  now(): number;
  /** Wakes somebody later; the returned function calls it off. */
  after(ms: number, wake: () => void): () => void;
}

/** Requests of one kind, which may share batches; a request itself is never cut. */
export interface Lane<Item, Result> {
  /**
   * One result for each item, in order. Throws what the work throws on this request alone, and AppError CANCELED as soon as `signal` is
   * aborted: the batch goes on for its other requests, and ends early only where all have left it.
   */
  ask(items: readonly Item[], signal?: AbortSignal): Promise<readonly Result[]>;
}

/** What the batches of a lane do. */
export interface LaneWork<Item, Result> {
  /** Of one batch; one request may bring more. */
  readonly itemsMax: number;
  /** What an item takes of `rowsMax`. */
  rows(item: Item): number;
  run(items: readonly Item[], signal: AbortSignal): Promise<readonly Result[]>;
}

/** Lanes that share one engine. */
export interface Lanes {
  /** Says that a run has begun, which may ask; the returned function says that it has ended. */
  enter(): () => void;
  open<Item, Result>(work: LaneWork<Item, Result>): Lane<Item, Result>;
}

/** So long does a request wait, at most, for those of other runs in progress, where its lane is free. */
const waitMsMax = 10;

/**
 * A lane has one batch at work at a time; meanwhile its requests gather. Where it is free, a request goes at once if every run in progress
 * has asked (so a lone one always does) or the batch is full, and after 10 ms in any case. Batches of several lanes are at work side by
 * side, token by token, so that short answers pass long ones; beyond one request for each lane they hold at most `rowsMax` rows.
 */
export function openLanes(setup: { timers: Timers; rowsMax: number; batchMsMax: number }): Lanes {
  const { timers, rowsMax, batchMsMax } = setup;
  const lanes: { waitsSince(): number; consider(): void }[] = [];
  const meter = openMeter(timers);
  let runs = 0;
  let asking = 0;

  function considerAll(): void {
    const waiting = lanes.filter((lane) => lane.waitsSince() < Number.POSITIVE_INFINITY);
    for (const lane of waiting.sort((a, b) => a.waitsSince() - b.waitsSince())) lane.consider();
  }

  function open<Item, Result>(work: LaneWork<Item, Result>): Lane<Item, Result> {
    const size = openBatchSize({ itemsMax: work.itemsMax, batchMsMax });
    let waiting: Request<Item, Result>[] = [];
    let isBusy = false;
    let callOff = () => {};

    const waitsSince = () => waiting[0]?.since ?? Number.POSITIVE_INFINITY;

    function consider(): void {
      callOff();
      callOff = () => {};
      if (isBusy || waiting.length === 0) return;
      const extents = waiting.map(extent);
      const itemsMax = size.max();
      const count = countForBatch(extents, { items: itemsMax, rows: rowsMax - meter.rows() });
      const isFull = count < waiting.length || sum(extents.map(({ items }) => items)) >= itemsMax;
      const leftMs = waitsSince() + waitMsMax - timers.now();
      if (runs <= asking || isFull || leftMs <= 0) void start(waiting.splice(0, count));
      else callOff = timers.after(leftMs, consider);
    }

    async function start(requests: readonly Request<Item, Result>[]): Promise<void> {
      isBusy = true;
      const extents = requests.map(extent);
      const end = meter.begin(sum(extents.map(({ rows }) => rows)));
      try {
        await runTogether(requests, work.run);
        size.note(sum(extents.map(({ items }) => items)), end());
      } catch (error) {
        await runEachAlone(requests, work, error);
      } finally {
        end();
        isBusy = false;
        considerAll();
      }
    }

    function extent({ items }: Request<Item, Result>): { items: number; rows: number } {
      return { items: items.length, rows: sum(items.map(work.rows)) };
    }

    function ask(items: readonly Item[], signal?: AbortSignal): Promise<readonly Result[]> {
      const { request, answer } = openRequest<Item, Result>(items, timers.now(), signal);
      asking += 1;
      waiting.push(request);
      request.whenSettled(() => {
        asking -= 1;
        waiting = waiting.filter((other) => other !== request);
      });
      considerAll();
      return answer;
    }
    lanes.push({ waitsSince, consider });
    return { ask };
  }

  return {
    enter() {
      runs += 1;
      return () => {
        runs -= 1;
        considerAll();
      };
    },
    open,
  };
}

/** After a batch that failed: what is wrong with one request must not be said of the others. */
async function runEachAlone<Item, Result>(
  requests: readonly Request<Item, Result>[],
  work: LaneWork<Item, Result>,
  error: unknown,
): Promise<void> {
  const isCertain = requests.length === 1 || concernsAll(error);
  for (const request of requests) {
    if (isCertain) request.settle({ error });
    else if (request.isOpen()) await runTogether([request], work.run).catch((error: unknown) => request.settle({ error }));
  }
}

/** What is at work: its rows, and what each batch has cost. Batches that are at work side by side share the time. */
function openMeter(timers: Timers) {
  const atWork = new Set<{ readonly rows: number; ms: number }>();
  let chargedUntil = timers.now();
  const charge = () => {
    const now = timers.now();
    for (const batch of atWork) batch.ms += (now - chargedUntil) / atWork.size;
    chargedUntil = now;
  };
  return {
    rows: () => sum([...atWork].map(({ rows }) => rows)),
    /** The returned function ends the batch, and gives its milliseconds. */
    begin(rows: number): () => number {
      charge();
      const batch = { rows, ms: 0 };
      atWork.add(batch);
      return () => {
        charge();
        atWork.delete(batch);
        return batch.ms;
      };
    },
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
