import type { Timers } from "../../inference/meter.ts";

/** Time that goes on only when it is told to, and counts how often somebody asked to be woken. */
export function virtualTimers(): Timers & { readonly armed: number; advance(ms: number): void } {
  const alarms = new Map<object, { at: number; wake: () => void }>();
  let now = 0;
  let armed = 0;
  return {
    now: () => now,
    after(ms, wake) {
      const id = {};
      armed += 1;
      alarms.set(id, { at: now + ms, wake });
      return () => alarms.delete(id);
    },
    turn: async () => {},
    get armed() {
      return armed;
    },
    advance(ms) {
      const until = now + ms;
      for (;;) {
        const [next] = [...alarms]
          .filter(([, { at }]) => at <= until)
          .sort(([, a], [, b]) => a.at - b.at);
        if (!next) break;
        alarms.delete(next[0]);
        now = next[1].at;
        next[1].wake();
      }
      now = until;
    },
  };
}
