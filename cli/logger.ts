import { destination, type Logger, pino } from "pino";
import type { Config } from "../adapters/config.ts";

/** Logs as JSON lines on stderr; stdout is for what the command says. */
export function openLogger(
  config: Pick<Config, "logLevel">,
  fields: Readonly<Record<string, unknown>>,
): Logger {
  const stderr = destination({ dest: 2, sync: true });
  stderr.on("error", () => {}); // a full disk behind stderr costs lines of the log, not the service
  return pino(
    { level: config.logLevel, base: fields, timestamp: pino.stdTimeFunctions.isoTime },
    stderr,
  );
}
