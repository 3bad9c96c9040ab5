import { isStillAdmitted } from "../core/api-keys.ts";
import { AppError } from "../core/errors.ts";
import type { Ports } from "../core/ports.ts";
import { keyIsDead } from "./unauthenticated.ts";

/** Between two looks at the key of an open wait: revoking a key ends its waits within a second, the time of the read included. */
const lookEveryMs = 500;

/** A subscription or a long poll that is open. */
export interface OpenWait {
  /** Aborted when the caller has gone, or, with an AppError UNAUTHENTICATED as its reason, when the key admits nobody any more. */
  readonly signal: AbortSignal;
  /** Reads the key now, before something is delivered. Throws AppError UNAUTHENTICATED. */
  requireAdmitted(): Promise<void>;
  /** What ended it, if its key did. */
  endedBy(): AppError | null;
  /** Gives the place back; may be called twice. */
  end(): void;
}

/** The subscriptions and long polls that are open in this process. */
export interface OpenWaits {
  /** Opens one until `end` or until `gone` is aborted. Throws AppError RATE_LIMITED where the key has too many open. */
  open(keyId: string, gone: AbortSignal): OpenWait;
}

/**
 * Counts open waits for each key, and ends those of a key that is revoked, expires or whose tenant is disabled. All waits of one key cost one look
 * each `lookEveryMs`, however many there are.
 */
export function openWaits(
  ports: Pick<Ports, "tenants" | "clock">,
  { perKeyMax, onFault }: { perKeyMax: number; onFault(err: unknown, keyId: string): void },
): OpenWaits {
  const openOf = new Map<string, Set<AbortController>>();

  const lookLater = (keyId: string) => {
    const timer = setTimeout(async () => {
      const open = openOf.get(keyId);
      if (!open) return;
      const isAdmitted = await isStillAdmitted(ports, keyId).catch((err: unknown) => {
        onFault(err, keyId);
        return true;
      });
      if (!isAdmitted) for (const wait of [...open]) wait.abort(keyIsDead());
      if (openOf.get(keyId) === open) lookLater(keyId);
    }, lookEveryMs);
    timer.unref();
  };

  return {
    open(keyId, gone) {
      const known = openOf.get(keyId);
      const open = known ?? new Set();
      if (open.size >= perKeyMax) throw tooMany(perKeyMax);
      const controller = new AbortController();
      const end = () => {
        gone.removeEventListener("abort", leave);
        open.delete(controller);
        if (open.size === 0 && openOf.get(keyId) === open) openOf.delete(keyId);
      };
      const leave = () => {
        end();
        controller.abort(gone.reason);
      };
      open.add(controller);
      if (!known) {
        openOf.set(keyId, open);
        lookLater(keyId);
      }
      if (gone.aborted) leave();
      else gone.addEventListener("abort", leave);
      return {
        signal: controller.signal,
        async requireAdmitted() {
          if (await isStillAdmitted(ports, keyId)) return;
          controller.abort(keyIsDead());
          throw keyIsDead();
        },
        endedBy: () =>
          controller.signal.reason instanceof AppError ? controller.signal.reason : null,
        end,
      };
    },
  };
}

function tooMany(perKeyMax: number): AppError {
  return new AppError(
    "RATE_LIMITED",
    `This API key has ${perKeyMax} subscriptions and long polls open, which is the limit.`,
    {
      path: ["waitMs"],
      fix: "Close one, ask with waitMs: 0, or have VEDERE_OPEN_WAITS_PER_KEY raised.",
    },
  );
}
