import { isStillAdmitted, type Pass } from "../core/api-keys.ts";
import { AppError } from "../core/errors.ts";
import type { Ports } from "../core/ports.ts";
import { passIsDead } from "./unauthenticated.ts";

/**
 * Between two looks at the key of an open wait: revoking a key ends its waits within a second, the
 * time of the read included.
 */
const lookEveryMs = 500;

/** A subscription or a long poll that is open. */
export interface OpenWait {
  /**
   * Aborted when the caller has gone, or, with an AppError UNAUTHENTICATED as its reason, when the
   * key admits nobody any more.
   */
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
  /**
   * Opens one until `end` or until `gone` is aborted. Throws AppError RATE_LIMITED where the key
   * has too many open.
   */
  open(pass: Pass, gone: AbortSignal): OpenWait;
}

/**
 * Counts open waits for each key, and ends those of a key that is revoked, expires or whose tenant
 * is disabled, and of a session that ends. All waits of one key, or of one session, cost one look
 * each `lookEveryMs`, however many there are.
 */
export function openWaits(
  ports: Pick<Ports, "tenants" | "sessions" | "clock">,
  { perKeyMax, onFault }: { perKeyMax: number; onFault(err: unknown, keyId: string): void },
): OpenWaits {
  const openOf = new Map<string, Set<AbortController>>(); // by pass
  const countOf = new Map<string, number>(); // by key

  const lookLater = (pass: Pass) => {
    const timer = setTimeout(async () => {
      const open = openOf.get(nameOf(pass));
      if (!open) return;
      const isAdmitted = await isStillAdmitted(ports, pass).catch((err: unknown) => {
        onFault(err, pass.keyId);
        return true;
      });
      if (!isAdmitted) for (const wait of [...open]) wait.abort(passIsDead(pass));
      if (openOf.get(nameOf(pass)) === open) lookLater(pass);
    }, lookEveryMs);
    timer.unref();
  };

  return {
    open(pass, gone) {
      const { keyId } = pass;
      const count = countOf.get(keyId) ?? 0;
      if (count >= perKeyMax) throw tooMany(perKeyMax);
      const known = openOf.get(nameOf(pass));
      const open = known ?? new Set();
      const controller = new AbortController();
      const end = () => {
        gone.removeEventListener("abort", leave);
        if (!open.delete(controller)) return;
        if (open.size === 0) openOf.delete(nameOf(pass));
        const others = (countOf.get(keyId) ?? 1) - 1;
        if (others > 0) countOf.set(keyId, others);
        else countOf.delete(keyId);
      };
      const leave = () => {
        end();
        controller.abort(gone.reason);
      };
      open.add(controller);
      countOf.set(keyId, count + 1);
      if (!known) {
        openOf.set(nameOf(pass), open);
        lookLater(pass);
      }
      if (gone.aborted) leave();
      else gone.addEventListener("abort", leave);
      return {
        signal: controller.signal,
        async requireAdmitted() {
          if (await isStillAdmitted(ports, pass)) return;
          controller.abort(passIsDead(pass));
          throw passIsDead(pass);
        },
        endedBy: () =>
          controller.signal.reason instanceof AppError ? controller.signal.reason : null,
        end,
      };
    },
  };
}

function nameOf({ keyId, session }: Pass): string {
  return `${keyId} ${session}`;
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
