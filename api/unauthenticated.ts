import type { Pass } from "../core/api-keys.ts";
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

/** What ends a request whose key or session no longer admits. */
export function passIsDead({ session }: Pass): AppError {
  if (session === null) return keyIsDead();
  return new AppError("UNAUTHENTICATED", "This session has ended.", {
    fix: "Sign in again: `vedere link` prints a link.",
  });
}
