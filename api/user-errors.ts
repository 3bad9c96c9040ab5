import { AppError, type ErrorCode } from "../core/errors.ts";

/** Why a request could not be taken, as the SDL's UserError. */
export interface UserError {
  readonly path: readonly string[];
  readonly code: UserErrorCode;
  readonly message: string;
  readonly fix: string | null;
  readonly retryAfterMs: number | null;
}

/** The codes of the SDL's UserErrorCode: what a caller can mend. */
export const userErrorCodes = [
  "INVALID",
  "NOT_FOUND",
  "FORBIDDEN",
  "MODEL_NOT_FOUND",
  "MODEL_UNAVAILABLE",
  "TASK_UNSUPPORTED",
  "IDEMPOTENCY_MISMATCH",
  "SOURCE_BLOCKED",
  "SOURCE_UNREACHABLE",
  "SOURCE_TOO_LARGE",
  "SOURCE_UNSUPPORTED",
  "SOURCE_CORRUPT",
  "UPLOAD_INCOMPLETE",
  "ALREADY_FINISHED",
  "NOT_FINISHED",
  "QUEUE_FULL",
  "RATE_LIMITED",
  "QUOTA_EXCEEDED",
] as const satisfies readonly ErrorCode[];

type UserErrorCode = (typeof userErrorCodes)[number];

/**
 * An error thrown while an input was taken, as userErrors: one, or several where it is an
 * AggregateError. Paths are put under `base`, the place of the input. What the caller cannot mend
 * is thrown again.
 */
export function userErrorsOf(error: unknown, base: readonly string[]): UserError[] {
  if (error instanceof AggregateError)
    return error.errors.flatMap((each) => userErrorsOf(each, base));
  if (!(error instanceof AppError) || !isUserErrorCode(error.code)) throw error;
  return [
    {
      path: [...base, ...error.inputPath],
      code: error.code,
      message: error.message,
      fix: error.fix,
      retryAfterMs: error.retryAfterMs,
    },
  ];
}

/** Whether an error of this code is the caller's to mend, and its words meant for callers. */
export function isUserErrorCode(code: ErrorCode): code is UserErrorCode {
  return userErrorCodes.some((known) => known === code);
}

/** Throws the faults that there are, all at once. */
export function throwFaults(faults: readonly (AppError | null)[]): void {
  const found = faults.filter((fault) => fault !== null);
  if (found.length > 0) throw new AggregateError(found);
}
