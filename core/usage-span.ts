import { monthOf } from "./budget.ts";

/**
 * The spans of time that a store keeps sums for, the widest first; each is made of whole ones of
 * the next. UTC.
 */
export const sumGrains = ["month", "day", "hour", "minute"] as const;
export type SumGrain = (typeof sumGrains)[number];

/**
 * A part of a span: whole grains, which have sums, or (null) a piece of a minute, which only the
 * ledger knows.
 */
export interface SpanPart {
  readonly grain: SumGrain | null;
  readonly from: number;
  readonly to: number;
}

const lengthMs = { day: 86_400_000, hour: 3_600_000, minute: 60_000 } as const;

/**
 * A span from an instant until before another, in milliseconds since 1970, as parts that lie side
 * by side. So ten years are some 250 sums at most, and at each end less than a minute of the
 * ledger.
 */
export function partsOf(
  { from, to }: { readonly from: number; readonly to: number },
  grains: readonly SumGrain[] = sumGrains,
): SpanPart[] {
  if (!(from < to)) return [];
  const [grain, ...finer] = grains;
  if (!grain) return [{ grain: null, from, to }];
  const first = startAtOrAfter(from, grain);
  const last = startAtOrBefore(to, grain);
  // A month beyond the last instant of a Date is no number, and holds nothing.
  if (!(first < last)) return partsOf({ from, to }, finer);
  return [
    ...partsOf({ from, to: first }, finer),
    { grain, from: first, to: last },
    ...partsOf({ from: last, to }, finer),
  ];
}

/** The first instant of the grain that an instant lies in. */
export function startAtOrBefore(at: number, grain: SumGrain): number {
  return grain === "month" ? monthOf(at).from : Math.floor(at / lengthMs[grain]) * lengthMs[grain];
}

function startAtOrAfter(at: number, grain: SumGrain): number {
  if (grain !== "month") return Math.ceil(at / lengthMs[grain]) * lengthMs[grain];
  const month = monthOf(at);
  return month.from === at ? at : month.to;
}
