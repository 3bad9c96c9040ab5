import type { Extent } from "./fair-share.ts";

/** Where time comes from; tests bring their own. */
export interface Timers {
  /** Milliseconds since any instant. */
  now(): number;
  /** Wakes somebody later; the returned function calls it off. */
  after(ms: number, wake: () => void): () => void;
  /** The end of this turn of the event loop: what waits for the thread comes first. */
  turn(): Promise<void>;
}

/** What is at work: its rows, and what each batch has cost. */
export interface Meter {
  rows(): number;
  /** Of one tenant. */
  rowsOf(tenant: string): number;
  /** Who has any. */
  tenants(): ReadonlySet<string>;
  /** The returned function ends the batch, and gives its milliseconds. */
  begin(batch: readonly Extent[]): () => number;
}

/** Batches that are at work side by side share the time. */
export function openMeter(timers: Timers): Meter {
  const atWork = new Set<{ readonly extents: readonly Extent[]; ms: number }>();
  let chargedUntil = timers.now();
  const charge = () => {
    const now = timers.now();
    for (const batch of atWork) batch.ms += (now - chargedUntil) / atWork.size;
    chargedUntil = now;
  };
  const extents = () => [...atWork].flatMap((batch) => batch.extents);
  return {
    rows: () => sumOfRows(extents()),
    rowsOf: (tenant) => sumOfRows(extents().filter((extent) => extent.tenant === tenant)),
    tenants: () => new Set(extents().map(({ tenant }) => tenant)),
    begin(extents) {
      charge();
      const batch = { extents, ms: 0 };
      atWork.add(batch);
      return () => {
        charge();
        atWork.delete(batch);
        return batch.ms;
      };
    },
  };
}

function sumOfRows(extents: readonly Extent[]): number {
  return extents.reduce((total, { rows }) => total + rows, 0);
}
