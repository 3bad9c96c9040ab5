import type { FilledStore } from "./filled-store.ts";

/** What is measured at each size. */
export interface Operation {
  /**
   * The root field of the schema, with what is asked of it where that matters; or another part of
   * the service.
   */
  readonly name: string;
  /** Readies one measurement, which is not timed itself; what it returns is. */
  prepare(store: FilledStore): Promise<() => Promise<unknown>>;
}
