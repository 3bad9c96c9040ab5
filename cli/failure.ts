import { CommanderError } from "commander";
import { systemFault } from "../adapters/system-fault.ts";
import { AppError, type ErrorCode } from "../core/errors.ts";

/** A fault of the command line itself: exit code 2. */
export function usageError(message: string, fix: string): AppError {
  return new AppError("INVALID", message, { fix });
}

const usageCodes: readonly ErrorCode[] = ["INVALID", "SETTING_INVALID"];
/** 128 + SIGINT, as shells have it. */
export const interruptedExitCode = 130;

/**
 * Tells an error on stderr, as `error: …` and `fix: …`, and returns the exit code: 2 for wrong
 * usage, 1 for everything else.
 */
export function report(error: unknown, options: { debug: boolean }): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // commander has written its message already
  if (error instanceof AppError && error.code === "CANCELED") return interruptedExitCode;
  const { message, fix } = describeError(error);
  process.stderr.write(`error: ${message}\n${fix ? `fix: ${fix}\n` : ""}`);
  if (options.debug && error instanceof Error) process.stderr.write(`${stackOf(error)}\n`);
  return error instanceof AppError && usageCodes.includes(error.code) ? 2 : 1;
}

/**
 * What to show of an error: an AppError explains itself; of the system's the meaning is known; of
 * anything else the message is all there is.
 */
export function describeError(error: unknown): { message: string; fix: string | null } {
  if (error instanceof AppError) return { message: error.message, fix: error.fix };
  const fault = systemFault(error);
  if (fault) return fault;
  const message = error instanceof Error ? error.message : String(error);
  return { message, fix: "Run it again with --debug to see where it happened." };
}

function stackOf(error: Error): string {
  const stack = error.stack ?? error.message;
  return error.cause instanceof Error ? `${stack}\ncaused by ${stackOf(error.cause)}` : stack;
}
