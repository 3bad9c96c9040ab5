import { setTimeout as pause } from "node:timers/promises";
import type { SpanContext } from "@opentelemetry/api";
import type { SpanExporter } from "@opentelemetry/sdk-trace-node";
import { AppError } from "../core/errors.ts";
import { noTracing, type SpanAttributes, type SpanOptions, type Tracing } from "../core/tracing.ts";

export interface TracingSetup {
  /**
   * Where a collector takes OTLP over HTTP, without `/v1/traces`; null: nothing is traced, and
   * nothing of OpenTelemetry is loaded.
   */
  readonly endpoint: string | null;
  /** Whose spans these are; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES may say otherwise. */
  readonly serviceName: string;
  /** Sent with every request to the collector: its access token. */
  readonly headers?: Readonly<Record<string, string>> | null;
  /** Hears once of every outage of the collector. The spans of an outage are lost. */
  readonly warn: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

/**
 * One request to the collector may take so long, with its retries; and so may the last one, when
 * the service stops.
 */
const sendMsMax = 2_000;

/**
 * Traces to an OpenTelemetry collector, in batches and in the background. Nothing is patched, and
 * nothing global is registered.
 */
export async function openTracing({
  endpoint,
  serviceName,
  headers,
  warn,
}: TracingSetup): Promise<Tracing> {
  if (endpoint === null) return noTracing;
  const [{ ROOT_CONTEXT, SpanKind, SpanStatusCode, trace }, sdk, { OTLPTraceExporter }, resources] =
    await Promise.all([
      import("@opentelemetry/api"),
      import("@opentelemetry/sdk-trace-node"),
      import("@opentelemetry/exporter-trace-otlp-http"),
      import("@opentelemetry/resources"),
    ]);
  const sender = new OTLPTraceExporter({
    url: `${endpoint}/v1/traces`,
    timeoutMillis: sendMsMax,
    ...(headers && { headers }),
  });
  const collector = watchOver(sender, (reason) => {
    warn("the collector of traces does not take spans, which are lost", {
      collector: new URL(endpoint).host,
      reason,
    });
  });
  const named = resources.resourceFromAttributes({ "service.name": serviceName });
  const provider = new sdk.BasicTracerProvider({
    resource: named.merge(resources.detectResources({ detectors: [resources.envDetector] })),
    spanProcessors: [new sdk.BatchSpanProcessor(collector.exporter)],
  });
  const tracer = provider.getTracer("vedere");
  const kinds = {
    ...{ server: SpanKind.SERVER, client: SpanKind.CLIENT, producer: SpanKind.PRODUCER },
    ...{ consumer: SpanKind.CONSUMER, internal: SpanKind.INTERNAL },
  };

  function start(name: string, { parent, kind = "internal", attributes = {}, at }: SpanOptions) {
    const known = readTraceparent(parent ?? "");
    const context = known ? trace.setSpanContext(ROOT_CONTEXT, known) : ROOT_CONTEXT;
    return tracer.startSpan(
      name,
      { kind: kinds[kind], attributes, ...(at !== undefined && { startTime: new Date(at) }) },
      context,
    );
  }

  return {
    async span(name, options, work) {
      const span = start(name, options);
      const set = (attributes: SpanAttributes) => void span.setAttributes(attributes);
      try {
        return await work({ traceparent: traceparentOf(span.spanContext()), set });
      } catch (error) {
        span.setAttribute("error.type", typeOf(error)).setStatus({ code: SpanStatusCode.ERROR }); // its message may tell what was asked
        throw error;
      } finally {
        span.end(options.until === undefined ? undefined : new Date(options.until));
      }
    },
    async close() {
      const sent = collector.end(() => provider.shutdown());
      await Promise.race([sent, pause(sendMsMax, undefined, { ref: false })]);
    },
  };
}

/**
 * An exporter that tells when it begins to fail; and that, once it is to end, sends nothing more to
 * a collector that fails.
 */
function watchOver(exporter: SpanExporter, warn: (reason: string) => void) {
  let isFailing = false;
  let isEnding = false;
  const watched: SpanExporter = {
    export(spans, done) {
      if (isFailing && isEnding) return done({ code: 1 });
      exporter.export(spans, (result) => {
        if (result.error && !isFailing) warn(reasonOf(result.error));
        isFailing = result.error !== undefined;
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
  };
  return {
    exporter: watched,
    async end(shutdown: () => Promise<void>): Promise<void> {
      isEnding = true;
      const ended = shutdown().catch(() => undefined); // what failed was told by `warn`
      if (!isFailing) await ended;
    },
  };
}

/**
 * What a W3C traceparent names (https://www.w3.org/TR/trace-context/#traceparent-header); null
 * where it is none.
 */
function readTraceparent(text: string): SpanContext | null {
  const form =
    /^(?!ff)([\da-f]{2})-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})(-.*)?$/;
  const [, version, traceId, spanId, flags, more] = form.exec(text) ?? [];
  if (traceId === undefined || spanId === undefined || (version === "00" && more !== undefined))
    return null;
  return {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags ?? "00", 16) & sampled,
    isRemote: true,
  };
}

function traceparentOf({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-0${traceFlags & sampled}`;
}

/** The one flag that says whether the spans of a trace are recorded. */
const sampled = 1;

function typeOf(error: unknown): string {
  if (error instanceof AppError) return error.code;
  return error instanceof Error ? error.name : "Error";
}

/** Node's error for a host with several addresses has a code and no message. */
function reasonOf(error: Error): string {
  return error.message || ("code" in error ? String(error.code) : error.name);
}
