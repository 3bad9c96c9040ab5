/**
 * What the parts of the service tell of their work, so that one request can be followed through
 * gateway, queue, worker and webhook.
 */
export interface Tracing {
  /**
   * Runs `work` as a span: a piece of work with a name, a start and an end. What `work` throws
   * marks the span as failed, by its error code alone, and is thrown on unchanged. Tracing itself
   * never fails, and never waits.
   */
  span<Result>(
    name: string,
    options: SpanOptions,
    work: (span: Span) => Promise<Result>,
  ): Promise<Result>;
  /** Sends what is not yet sent, for two seconds at most. Never throws. */
  close(): Promise<void>;
}

/** What is known when a span starts. */
export interface SpanOptions {
  /**
   * The span that this one is part of, as a W3C `traceparent`; null, absent or malformed: a trace
   * begins here.
   */
  readonly parent?: string | null;
  readonly kind?: SpanKind;
  readonly attributes?: SpanAttributes;
  /** When it started, in milliseconds since 1970; absent: now. */
  readonly at?: number;
  /** When it ended, for what is over already; absent: when `work` ends. */
  readonly until?: number;
}

/**
 * `server` answers a request, `client` makes one; `producer` puts something into a queue,
 * `consumer` takes it out.
 */
export type SpanKind = "server" | "client" | "producer" | "consumer" | "internal";

/** Ids, numbers and states. Never secrets, prompts, answers or anything of an image. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

/** A span in progress. */
export interface Span {
  /** For what is part of it, in this process or another; null where nothing is traced. */
  readonly traceparent: string | null;
  set(attributes: SpanAttributes): void;
}

/** For services without a collector: the work, and nothing else. */
export const noTracing: Tracing = {
  span: (_name, _options, work) => work(unseen),
  close: async () => {},
};

const unseen: Span = { traceparent: null, set: () => {} };
