import type { Clock } from "../../core/ports.ts";

/** A clock that goes on only when it is told to. */
export function fakeClock(startsAt = 1_700_000_000_000): Clock & { advance(ms: number): void } {
  let now = startsAt;
  return {
    now: () => now,
    advance(ms) {
      now += ms;
    },
  };
}
