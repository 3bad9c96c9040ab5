import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Budgets } from "../../core/ports.ts";

/** What `open` gives: an empty store, and the same store as another process sees it. */
export interface OpenBudgets {
  readonly budgets: Budgets;
  readonly elsewhere: Budgets;
  close(): Promise<void>;
}

/** What every store of token buckets promises. */
export function budgetsContract(name: string, open: () => Promise<OpenBudgets>): void {
  describe(`budgets: ${name}`, () => {
    let store: OpenBudgets;
    beforeEach(async () => {
      store = await open();
    });
    afterEach(() => store.close());

    const size = { capacity: 100, perSecond: 10 };
    const drawn = (budgets: Budgets, names: string[], cost: number, now = 0) =>
      budgets.draw("ten_1", names, { cost, size, now });

    test("what one process draws the other has no more, and time brings it back", async () => {
      expect(await drawn(store.budgets, ["tenant"], 70)).toEqual({ levels: [30], waitMs: 0 });
      expect(await drawn(store.elsewhere, ["tenant"], 0)).toEqual({ levels: [30], waitMs: 0 });
      expect(await drawn(store.elsewhere, ["tenant"], 50)).toEqual({ levels: [30], waitMs: 2_000 });
      expect(await drawn(store.elsewhere, ["tenant"], 50, 2_000)).toEqual({
        levels: [0],
        waitMs: 0,
      });
      expect((await drawn(store.budgets, ["tenant"], 0, 100_000)).levels).toEqual([100]);
    });

    test("buckets are drawn from together or not at all", async () => {
      await drawn(store.budgets, ["key a"], 90);
      expect((await drawn(store.budgets, ["tenant", "key a"], 20)).waitMs).toBe(1_000);
      expect((await drawn(store.budgets, ["tenant", "key a"], 0)).levels).toEqual([100, 10]);
    });

    test("what is given back is there, and never more than fits", async () => {
      await drawn(store.budgets, ["tenant"], 70);
      await drawn(store.budgets, ["tenant"], -70);
      await drawn(store.budgets, ["tenant"], -70);
      expect((await drawn(store.elsewhere, ["tenant"], 0)).levels).toEqual([100]);
      await drawn(store.budgets, ["tenant"], 250);
      await drawn(store.budgets, ["tenant"], -250);
      expect((await drawn(store.elsewhere, ["tenant"], 0)).levels).toEqual([100]);
    });

    test("a cost above the capacity is taken from a full bucket, which owes the rest", async () => {
      expect(await drawn(store.budgets, ["tenant"], 250)).toEqual({ levels: [-150], waitMs: 0 });
      expect((await drawn(store.budgets, ["tenant"], 1)).waitMs).toBe(15_100);
    });

    test("another tenant's bucket is its own", async () => {
      await drawn(store.budgets, ["tenant"], 100);
      expect(
        (await store.budgets.draw("ten_2", ["tenant"], { cost: 0, size, now: 0 })).levels,
      ).toEqual([100]);
    });

    test("of many draws at once no more are taken than there is", async () => {
      const draws = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          drawn(i % 2 === 0 ? store.budgets : store.elsewhere, ["tenant"], 10),
        ),
      );
      expect(draws.filter(({ waitMs }) => waitMs === 0)).toHaveLength(10);
    });
  });
}
