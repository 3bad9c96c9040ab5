import {
  AggregatorRegistry,
  Counter,
  Gauge,
  Histogram,
  type MetricObject,
  Registry,
} from "prom-client";
import type { QueueDepth } from "../core/ports.ts";
import type { RunWork } from "../core/run-work.ts";

/**
 * What a gateway counts, in Prometheus' terms. No label names a tenant: what one does is none of
 * another's business.
 */
export interface GatewayMetrics {
  request(request: { readonly path: string; readonly status: number; readonly ms: number }): void;
  /** One image at the door: how it ended, from when it came to the decoders. */
  decode(decode: { readonly outcome: string; readonly ms: number }): void;
  decoders(state: { readonly waiting: number; readonly processes: number }): void;
  depth(depth: QueueDepth): void;
  /** By what workers report to the store. */
  workers(counts: { readonly reporting: number; readonly silent: number }): void;
  values(): Promise<MetricObject[]>;
}

/** What a worker counts. */
export interface WorkerMetrics {
  run(run: RunWork & { readonly status: string; readonly ms: number }): void;
  /**
   * One batch of answers: how many rows (beams of all its prompts) it took through the decoder
   * together.
   */
  batch(rows: number): void;
  values(): Promise<MetricObject[]>;
}

/** What a deliverer of webhooks counts. */
export interface DeliveryMetrics {
  attempt(attempt: { readonly outcome: "succeeded" | "failed"; readonly ms: number }): void;
  values(): Promise<MetricObject[]>;
}

/** What `vedere start` counts of the processes that it keeps running. */
export interface SupervisorMetrics {
  restart(kind: "gateway" | "worker", reason: "ended" | "silent" | "stuck"): void;
  /** How each process is now. */
  states(processes: readonly { readonly kind: string; readonly state: string }[]): void;
  values(): Promise<MetricObject[]>;
}

export type { MetricObject };

/** Paths that are told apart; all others are one. */
const paths = ["/graphql", "/graphql/stream", "/healthz", "/readyz"];

const requestSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const batchRows = [1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 48];
const stageSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export function openGatewayMetrics(): GatewayMetrics {
  const registers = [new Registry()];
  const requests = new Counter({
    name: "vedere_requests_total",
    help: "HTTP requests.",
    labelNames: ["path", "status"],
    registers,
  });
  const seconds = new Histogram({
    ...{
      name: "vedere_request_seconds",
      help: "From a request to its answer, long polls included.",
      labelNames: ["path"],
    },
    ...{ buckets: requestSeconds, registers },
  });
  const decodes = new Counter({
    name: "vedere_decodes_total",
    help: "Images decoded at the door, by outcome.",
    labelNames: ["outcome"],
    registers,
  });
  const decodeTimes = new Histogram({
    name: "vedere_decode_seconds",
    help: "From an image's header to the end of its decoding, the wait for a process included.",
    buckets: stageSeconds,
    registers,
  });
  const waiting = new Gauge({
    name: "vedere_decode_waiting",
    help: "Images that wait to be decoded.",
    registers,
  });
  const decoders = new Gauge({
    name: "vedere_decoders",
    help: "Processes that decode images.",
    registers,
  });
  for (const outcome of ["decoded", "refused", "deadline", "memory", "crash"])
    decodes.inc({ outcome }, 0);
  const messages = new Gauge({
    name: "vedere_queue_messages",
    help: "Messages of the queue.",
    labelNames: ["state"],
    registers,
  });
  const oldest = new Gauge({
    name: "vedere_queue_oldest_seconds",
    help: "Age of the queue's oldest message.",
    registers,
  });
  const workers = new Gauge({
    name: "vedere_workers",
    help: "Workers of the store, on any machine, by their reports; silent ones for five minutes.",
    labelNames: ["state"],
    registers,
  });
  return {
    request({ path, status, ms }) {
      const known = paths.includes(path) ? path : "other";
      requests.inc({ path: known, status });
      seconds.observe({ path: known }, ms / 1_000);
    },
    decode({ outcome, ms }) {
      decodes.inc({ outcome });
      decodeTimes.observe(ms / 1_000);
    },
    decoders(state) {
      waiting.set(state.waiting);
      decoders.set(state.processes);
    },
    depth({ visible, inFlight, dead, oldestAgeMs }) {
      messages.set({ state: "visible" }, visible);
      messages.set({ state: "in_flight" }, inFlight);
      messages.set({ state: "dead" }, dead);
      oldest.set(oldestAgeMs / 1_000);
    },
    workers({ reporting, silent }) {
      workers.set({ state: "reporting" }, reporting);
      workers.set({ state: "silent" }, silent);
    },
    values: () => valuesOf(registers),
  };
}

export function openWorkerMetrics(): WorkerMetrics {
  const registers = [new Registry()];
  const runs = new Counter({
    name: "vedere_runs_total",
    help: "Runs that a worker ended.",
    labelNames: ["status"],
    registers,
  });
  const seconds = new Histogram({
    ...{
      name: "vedere_run_seconds",
      help: "From a run's claim to its end.",
      buckets: requestSeconds,
      registers,
    },
  });
  const stages = new Histogram({
    ...{
      name: "vedere_stage_seconds",
      help: "Stages of a run.",
      labelNames: ["stage"],
      buckets: stageSeconds,
      registers,
    },
  });
  const tokens = new Counter({ name: "vedere_tokens_total", help: "Tokens generated.", registers });
  const images = new Counter({
    ...{
      name: "vedere_images_total",
      help: "Images of runs, by whether their features were known already.",
    },
    ...{ labelNames: ["features"], registers },
  });
  const rowsTogether = new Histogram({
    ...{
      name: "vedere_batch_rows",
      help: "Rows of a batch of answers: the beams of all its prompts.",
      buckets: batchRows,
      registers,
    },
  });
  return {
    batch: (rows) => rowsTogether.observe(rows),
    run({ status, ms, cached, ...work }) {
      runs.inc({ status });
      seconds.observe(ms / 1_000);
      images.inc({ features: cached ? "known" : "computed" });
      tokens.inc(work.tokens);
      const before = { decode: work.decodeMs, pixels: work.pixelsMs, vision: work.visionMs };
      const after = { encode: work.encodeMs, generate: work.generateMs, parse: work.parseMs };
      for (const [stage, stageMs] of Object.entries({ ...(cached ? {} : before), ...after }))
        stages.observe({ stage }, stageMs / 1_000);
    },
    values: () => valuesOf(registers),
  };
}

export function openDeliveryMetrics(): DeliveryMetrics {
  const registers = [new Registry()];
  const deliveries = new Counter({
    ...{
      name: "vedere_deliveries_total",
      help: "Attempts to deliver a webhook.",
      labelNames: ["outcome"],
      registers,
    },
  });
  const seconds = new Histogram({
    ...{
      name: "vedere_delivery_seconds",
      help: "From an attempt to deliver a webhook to its answer, or its failure.",
    },
    ...{ labelNames: ["outcome"], buckets: requestSeconds, registers },
  });
  return {
    attempt({ outcome, ms }) {
      deliveries.inc({ outcome });
      seconds.observe({ outcome }, ms / 1_000);
    },
    values: () => valuesOf(registers),
  };
}

export function openSupervisorMetrics(): SupervisorMetrics {
  const registers = [new Registry()];
  const restarts = new Counter({
    name: "vedere_restarts_total",
    help: "Processes started again: they ended, sent no heartbeat (silent), or did not move (stuck).",
    labelNames: ["process", "reason"],
    registers,
  });
  const processes = new Gauge({
    name: "vedere_processes",
    help: "Processes of the service on this machine, by what their heartbeats report.",
    labelNames: ["process", "state"],
    registers,
  });
  for (const process of ["gateway", "worker"])
    for (const reason of ["ended", "silent", "stuck"]) restarts.inc({ process, reason }, 0);
  return {
    restart: (process, reason) => restarts.inc({ process, reason }),
    states(all) {
      processes.reset();
      for (const { kind: process, state } of all)
        processes.inc({ process, state: state.toLowerCase() });
    },
    values: () => valuesOf(registers),
  };
}

/** The values of several processes, added up, in Prometheus' text format. */
export function metricsText(processes: readonly MetricObject[][]): Promise<string> {
  return AggregatorRegistry.aggregate([...processes]).metrics();
}

export const metricsContentType = Registry.PROMETHEUS_CONTENT_TYPE;

async function valuesOf(registers: readonly Registry[]): Promise<MetricObject[]> {
  return (await Promise.all(registers.map((registry) => registry.getMetricsAsJSON()))).flat();
}
