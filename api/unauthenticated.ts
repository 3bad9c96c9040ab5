import { AppError } from "../core/errors.ts";

/** An error for a request without a key that admits it, with what to send. */
export function unauthenticated(message: string): AppError {
  return new AppError(
    "UNAUTHENTICATED",
    `${message} Send one as the header "Authorization: Bearer vdr_live_…".`,
  );
}

/** One text for a key that never was and for one that no longer admits. */
export function keyIsDead(): AppError {
  return unauthenticated("This API key is unknown, or does not admit anybody any more.");
}
