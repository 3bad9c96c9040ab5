import { expect, test } from "vitest";
import { levelOf, monthOf, plannedCost } from "../../core/budget.ts";
import { units } from "../../core/charge.ts";

const size = { capacity: 100, perSecond: 10 };

test("a bucket fills with time, to its brim, and not when the clock runs backwards", () => {
  const bucket = { level: 20, at: 5_000 };
  expect([4_000, 5_000, 6_000, 60_000].map((now) => levelOf(bucket, size, now))).toEqual([
    20, 20, 30, 100,
  ]);
  expect(levelOf(null, size, 0)).toBe(100);
});

test("a run is planned as its image, its prompts and the tokens that its answers may have", () => {
  const asked = (maxTokens?: number) =>
    [{ name: "READ_TEXT", input: { options: { maxTokens } } }] as const;
  expect(plannedCost(asked())).toBe(units.encoding + units.prompt + 150);
  expect(plannedCost(asked(1_024))).toBe(plannedCost(asked()));
  expect(plannedCost(asked(8))).toBe(units.encoding + units.prompt + 8);
  expect(plannedCost([...asked(8), ...asked(8)])).toBe(plannedCost(asked(8)) + units.prompt + 8);
});

test("a month of UTC ends where the next begins, at the end of a year too", () => {
  const december = Date.UTC(2026, 11, 31, 23, 59, 59, 999);
  expect(monthOf(december)).toEqual({ from: Date.UTC(2026, 11, 1), to: Date.UTC(2027, 0, 1) });
  expect(monthOf(december + 1).from).toBe(Date.UTC(2027, 0, 1));
});
