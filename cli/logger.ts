import { destination, type Logger, pino } from "pino";
import type { Config } from "../adapters/config.ts";

/** Logs as JSON lines on stderr; stdout is for what the command says. */
export function openLogger(
  config: Pick<Config, "logLevel">,
  fields: Readonly<Record<string, unknown>>,
): Logger {
  return pino(
    { level: config.logLevel, base: fields, timestamp: pino.stdTimeFunctions.isoTime },
    destination({ dest: 2, sync: true }),
  );
}
