/**
 * Who is at fault, and what follows: the worker retries only our faults; a client reads the code.
 * `client`: the caller must change something. `ours`: the same request may succeed later.
 */
const table = {
  INVALID: { fault: "client", retry: false },
  NOT_FOUND: { fault: "client", retry: false },
  MODEL_NOT_FOUND: { fault: "client", retry: false },
  TASK_UNSUPPORTED: { fault: "client", retry: false },
  IDEMPOTENCY_MISMATCH: { fault: "client", retry: false },
  SOURCE_BLOCKED: { fault: "client", retry: false },
  SOURCE_UNREACHABLE: { fault: "client", retry: false },
  SOURCE_TOO_LARGE: { fault: "client", retry: false },
  SOURCE_UNSUPPORTED: { fault: "client", retry: false },
  SOURCE_CORRUPT: { fault: "client", retry: false },
  UPLOAD_INCOMPLETE: { fault: "client", retry: false },
  ALREADY_FINISHED: { fault: "client", retry: false },
  NOT_FINISHED: { fault: "client", retry: false },
  QUEUE_FULL: { fault: "client", retry: false },
  RATE_LIMITED: { fault: "client", retry: false },
  QUOTA_EXCEEDED: { fault: "client", retry: false },
  UNAUTHENTICATED: { fault: "client", retry: false },
  FORBIDDEN: { fault: "client", retry: false },
  CANCELED: { fault: "client", retry: false },
  MODEL_FAILED: { fault: "ours", retry: false },
  MODEL_UNAVAILABLE: { fault: "ours", retry: true },
  ATTEMPTS_EXHAUSTED: { fault: "ours", retry: false },
  STORE_UNAVAILABLE: { fault: "ours", retry: true },
  SETTING_INVALID: { fault: "client", retry: false },
  INTERNAL: { fault: "ours", retry: true },
} as const satisfies Record<string, { fault: "client" | "ours"; retry: boolean }>;

export type ErrorCode = keyof typeof table;

/**
 * The only error that crosses a module boundary on purpose. `message` says what is wrong, `fix`
 * what to do; both are shown to callers.
 */
export class AppError extends Error {
  override readonly name = "AppError";
  readonly code: ErrorCode;
  readonly fix: string | null;
  /**
   * Where in the input. Not `path`: graphql-js takes an error that has one for its own, and leaves
   * out where in the document it came from.
   */
  readonly inputPath: readonly string[];
  /**
   * When the same request may be taken; null where that is not a matter of time, or nobody knows.
   */
  readonly retryAfterMs: number | null;

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      fix?: string;
      path?: readonly string[];
      retryAfterMs?: number;
      cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.fix = options.fix ?? null;
    this.inputPath = options.path ?? [];
    this.retryAfterMs = options.retryAfterMs ?? null;
  }

  /** Whether the same request, repeated unchanged, may succeed. */
  get retryable(): boolean {
    return table[this.code].retry;
  }

  get fault(): "client" | "ours" {
    return table[this.code].fault;
  }
}

/**
 * The error as it may be shown: an AppError itself, anything else as INTERNAL with the original as
 * its cause.
 */
export function asAppError(error: unknown): AppError {
  return error instanceof AppError
    ? error
    : new AppError("INTERNAL", "Something went wrong on our side.", { cause: error });
}

/** As asAppError, in words for a tenant: those of faults of this machine name its files. */
export function asTenantError(error: unknown): AppError {
  const known = asAppError(error);
  const isOfMachine = known.code === "INTERNAL" || known.code === "STORE_UNAVAILABLE";
  return isOfMachine ? asAppError(new Error(known.message, { cause: known })) : known;
}
