import type { Config } from "../adapters/config.ts";
import { openTracing } from "../adapters/tracing.ts";
import type { Log } from "../api/context.ts";
import type { Tracing } from "../core/tracing.ts";

/** Traces of one process of the service, as the settings say: by default none. */
export function tracingOf(
  { otlpEndpoint, otlpHeaders }: Config,
  part: "gateway" | "worker" | "deliverer",
  log: Log,
): Promise<Tracing> {
  const warn = (message: string, fields: object) => log.error(fields, message);
  return openTracing({
    endpoint: otlpEndpoint,
    headers: otlpHeaders,
    serviceName: `vedere-${part}`,
    warn,
  });
}
