import { AppError } from "../core/errors.ts";

/** Items that one caller asks about together, and the promise that it waits for. */
export interface Request<Item, Result> {
  readonly items: readonly Item[];
  /** When it came. */
  readonly since: number;
  isOpen(): boolean;
  /** Ends the request, once: what comes later is not heard. */
  settle(outcome: { results: readonly Result[] } | { error: unknown }): void;
  /** Calls back when the request ends, however it does; at once where it has. */
  whenSettled(callback: () => void): void;
}

/** A request that fails with AppError CANCELED as soon as `signal` is aborted. */
export function openRequest<Item, Result>(
  items: readonly Item[],
  since: number,
  signal: AbortSignal | undefined,
): { request: Request<Item, Result>; answer: Promise<readonly Result[]> } {
  let isOpen = true;
  const callbacks: (() => void)[] = [];
  let settle: Request<Item, Result>["settle"] = () => {};
  const answer = new Promise<readonly Result[]>((resolve, reject) => {
    settle = (outcome) => {
      if (!isOpen) return;
      isOpen = false;
      signal?.removeEventListener("abort", abort);
      if ("results" in outcome) resolve(outcome.results);
      else reject(outcome.error);
      for (const callback of callbacks) callback();
    };
  });
  const abort = () => settle({ error: new AppError("CANCELED", "The run was canceled.") });
  signal?.addEventListener("abort", abort);
  if (signal?.aborted) abort();
  const whenSettled = (callback: () => void) => {
    if (isOpen) callbacks.push(callback);
    else callback();
  };
  return { request: { items, since, isOpen: () => isOpen, settle, whenSettled }, answer };
}

/**
 * Runs the items of several requests as one batch, and gives each its results. The batch is aborted
 * once all of its requests have ended. Throws what `run` throws; the requests are then as they
 * were.
 */
export async function runTogether<Item, Result>(
  requests: readonly Request<Item, Result>[],
  run: (items: readonly Item[], signal: AbortSignal) => Promise<readonly Result[]>,
): Promise<void> {
  const stop = new AbortController();
  for (const request of requests) {
    request.whenSettled(() => {
      if (!requests.some((other) => other.isOpen())) stop.abort();
    });
  }
  const items = requests.flatMap((request) => request.items);
  const results = await run(items, stop.signal);
  let from = 0;
  for (const request of requests) {
    request.settle({ results: results.slice(from, from + request.items.length) });
    from += request.items.length;
  }
}
