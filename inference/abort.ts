import { AppError } from "../core/errors.ts";

/**
 * What a promise gives, unless the signal is aborted before: then it rejects with AppError
 * CANCELED, and the work goes on unobserved.
 */
export function orAborted<Value>(work: Promise<Value>, signal?: AbortSignal): Promise<Value> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const abort = () => reject(canceled());
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

export function canceled(): AppError {
  return new AppError("CANCELED", "The run was canceled.");
}
