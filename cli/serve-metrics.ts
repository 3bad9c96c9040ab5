import { createServer } from "node:http";
import type { Config } from "../adapters/config.ts";
import { type MetricObject, metricsContentType, metricsText } from "../adapters/metrics.ts";
import { answerHeaders } from "../api/answer-headers.ts";
import { AppError } from "../core/errors.ts";

/**
 * Serves /metrics on a port of its own, which need not be reachable from where callers are.
 * `collect` gives the values of each process. Does nothing where no port is set. Returns how to end
 * it. Throws AppError SETTING_INVALID where the port cannot be had.
 */
export async function serveMetrics(
  { host, metricsPort }: Pick<Config, "host" | "metricsPort">,
  collect: () => Promise<readonly MetricObject[][]>,
): Promise<() => void> {
  if (metricsPort === null) return () => {};
  const headers = Object.entries(answerHeaders("http:"));
  const server = createServer((request, response) => {
    for (const [name, value] of headers) response.setHeader(name, value);
    if (request.method !== "GET" || request.url !== "/metrics")
      return void response.writeHead(404).end();
    collect()
      .then(metricsText)
      .then(
        (text) => response.writeHead(200, { "content-type": metricsContentType }).end(text),
        () => response.writeHead(503).end(), // the store is unwell; the log says how
      );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => {
      const fix = "Choose another with VEDERE_METRICS_PORT.";
      reject(
        new AppError(
          "SETTING_INVALID",
          `/metrics cannot be served on port ${metricsPort} of ${host}.`,
          { fix, cause },
        ),
      );
    });
    server.listen(metricsPort, host, resolve);
  });
  server.on("error", () => {}); // a connection that could not be accepted is Prometheus' loss only
  return () => server.close();
}
