import { isStillAdmitted, type Pass } from "../core/api-keys.ts";
import type { AppError } from "../core/errors.ts";
import type { Ports } from "../core/ports.ts";
import type { OpenWait, OpenWaits } from "./open-waits.ts";
import { passIsDead } from "./unauthenticated.ts";

/** A look at it holds for so long. */
const lookHoldsMs = 1_000;

/** The key or session of one request, for as long as the request takes. */
export interface Admission {
  /**
   * Takes a place among the key's open subscriptions and long polls. Throws AppError RATE_LIMITED.
   */
  openWait(): OpenWait;
  /** Reads the key again if the last look is a second old. Throws AppError UNAUTHENTICATED. */
  requireAdmitted(): Promise<void>;
  /** What the request is refused with once the key has been seen dead; null before. */
  refusedWith(): AppError | null;
}

/** Begins when the key has been read. `signal` is the request's. */
export function admissionOf(
  ports: Pick<Ports, "tenants" | "sessions" | "clock">,
  pass: Pass,
  { waits, signal, since }: { waits: OpenWaits; signal: AbortSignal; since: number },
): Admission {
  let lookedAt = since;
  let refused: AppError | null = null;
  const opened: OpenWait[] = [];
  return {
    openWait() {
      const wait = waits.open(pass, signal);
      opened.push(wait);
      return wait;
    },
    async requireAdmitted() {
      const now = ports.clock.now();
      if (refused === null && now - lookedAt < lookHoldsMs) return;
      if (refused === null && !(await isStillAdmitted(ports, pass))) refused = passIsDead(pass);
      if (refused !== null) throw refused;
      lookedAt = now;
    },
    refusedWith: () => refused ?? opened.map((wait) => wait.endedBy()).find((by) => by) ?? null,
  };
}
