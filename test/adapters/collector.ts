import { createServer } from "node:http";
import { onTestFinished } from "vitest";

/** A span as a collector gets it. */
export interface TakenSpan {
  readonly service: string;
  readonly name: string;
  /** As OTLP counts: 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | null;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** 2: it failed. */
  readonly status: number;
  readonly startMs: number;
  readonly endMs: number;
}

interface OtlpAttribute {
  readonly key: string;
  readonly value: object;
}

interface OtlpSpan {
  readonly name: string;
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly attributes: readonly OtlpAttribute[];
  readonly status: { readonly code?: number };
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
}

interface OtlpBody {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly OtlpAttribute[] };
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[];
  }[];
}

export interface Collector {
  readonly endpoint: string;
  readonly spans: readonly TakenSpan[];
  readonly requests: readonly {
    readonly url: string;
    readonly headers: Readonly<Record<string, unknown>>;
    readonly text: string;
  }[];
  /** From now on it answers with this status; null: not at all. */
  answer(status: number | null): void;
}

/** A collector of traces on loopback, OTLP over HTTP with JSON; it ends with the test. */
export async function startCollector(): Promise<Collector> {
  const spans: TakenSpan[] = [];
  const requests: { url: string; headers: Record<string, unknown>; text: string }[] = [];
  let status: number | null = 200;
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    requests.push({ url: request.url ?? "", headers: request.headers, text });
    if (status === 200) spans.push(...spansIn(JSON.parse(text)));
    if (status !== null)
      response.writeHead(status, { "content-type": "application/json" }).end("{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return {
    endpoint: `http://127.0.0.1:${typeof address === "object" ? address?.port : address}`,
    spans,
    requests,
    answer: (next) => {
      status = next;
    },
  };
}

function spansIn(body: OtlpBody): TakenSpan[] {
  return body.resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = String(valuesOf(resource.attributes)["service.name"]);
    return scopeSpans.flatMap((scope) => scope.spans).map((span) => takenSpan(service, span));
  });
}

function takenSpan(service: string, { name, kind, traceId, spanId, ...span }: OtlpSpan): TakenSpan {
  return {
    ...{ service, name, kind, traceId, spanId },
    parentSpanId: span.parentSpanId ?? null,
    attributes: valuesOf(span.attributes),
    status: span.status.code ?? 0,
    startMs: Number(span.startTimeUnixNano) / 1e6,
    endMs: Number(span.endTimeUnixNano) / 1e6,
  };
}

function valuesOf(attributes: readonly OtlpAttribute[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}
