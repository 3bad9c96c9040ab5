import { hostname } from "node:os";
import type { Command } from "commander";
import type { Logger } from "pino";
import { type Config, readConfig } from "../../adapters/config.ts";
import { type Connection, connect } from "../../adapters/connect.ts";
import { openWorkerMetrics } from "../../adapters/metrics.ts";
import { randomBase62 } from "../../core/tenant.ts";
import { openEngine } from "../../inference/florence2/engine.ts";
import { openModelReports } from "../../inference/model-reports.ts";
import { runWorker } from "../../inference/worker.ts";
import { fetchPublished } from "../fetch-published.ts";
import { findModel } from "../local-models.ts";
import { openLogger } from "../logger.ts";
import { modelMemoryMb } from "../model-memory.ts";
import { tracingOf } from "../open-tracing.ts";
import { serveMetrics } from "../serve-metrics.ts";
import { onStop } from "../stop.ts";

/** `vedere worker`: takes runs from the queue and answers them, until it is stopped; the runs in progress are finished first. */
export function addWorker(program: Command): void {
  program
    .command("worker")
    .description(
      "Runs one worker on the store of a data folder, beside those of `vedere start`. Ctrl-C stops it after the runs that it has.",
    )
    .option("--data <dir>", "the data folder (default: .vedere)")
    .option(
      "--model <name>",
      "the model to have ready; others are loaded when runs ask for them (default: the service's default model)",
    )
    .option(
      "--model-memory-mb <n>",
      "what loaded models may take together (default: VEDERE_MODEL_MEMORY_MB, else half of the machine's)",
    )
    .action(work);
}

interface WorkerOptions {
  readonly data?: string;
  readonly model?: string;
  readonly modelMemoryMb?: string;
}

async function work(options: WorkerOptions): Promise<void> {
  const orphaned = new AbortController();
  process.once("disconnect", () => orphaned.abort()); // `vedere start` is gone: nobody would stop this process any more
  const signal = AbortSignal.any([onStop(() => {}), orphaned.signal]);
  const config = readConfig(undefined, {
    dataDir: options.data,
    model: options.model,
    modelMemoryMb: options.modelMemoryMb,
  });
  const logger = openLogger(config, { worker: process.pid });
  await fetchPublished(config, logger);
  const ports = await protectedConnection(config, logger);
  const reports = openModelReports(ports, {
    workerId: `${hostname()}-${process.pid}-${randomBase62(4)}`,
    logError: (fields, message) => logger.error(fields, message),
  });
  const engine = openEngine({
    models: ports.models,
    executionProviders: config.executionProviders,
    threads: config.threads,
    memoryBytes: modelMemoryMb(config) * 1e6,
    onChange: reports.changed,
    warn: (message, fields) => logger.warn(fields, message),
  });
  const tracing = await tracingOf(config, "worker", logger);
  const metrics = openWorkerMetrics();
  process.on("message", async (message) => {
    if (message === "metrics") process.send?.({ metrics: await metrics.values() });
  });
  const ended = new AbortController();
  const reporting = reports.run(engine, ended.signal);
  // The workers of `vedere start` tell theirs to it.
  const endMetrics = process.send
    ? () => {}
    : await serveMetrics(config, async () => [await metrics.values()]);
  try {
    const { id } = await findModel(ports.models, config.model);
    const ready = await engine.hold(config.model ?? id, signal); // so that the first run need not wait for it
    ready.release();
    process.send?.("ready");
    logger.info({ model: ready.id, revision: ready.revision }, "ready");
    await runWorker(ports, engine, {
      signal,
      leaseMs: config.leaseMs,
      runsAtOnce: config.runsAtOnce,
      sightCacheBytes: config.sightCacheMb * 1e6,
      log: (event, fields) => logger[event === "error" ? "error" : "info"](fields, event),
      onRun: metrics.run,
      onBatch: metrics.batch,
      tracing,
    });
  } finally {
    endMetrics();
    ended.abort();
    await reporting;
    await engine.close();
    await tracing.close();
    await ports.close();
    if (process.connected) process.disconnect(); // an open channel to the parent would keep this process alive
  }
}

/** In ECS, with the task protected while it has runs. */
async function protectedConnection(config: Config, logger: Logger): Promise<Connection> {
  const ports = await connect(config);
  if (config.ecsAgentUri === null) return ports;
  const { protectedQueue } = await import("../../adapters/aws/task-protection.ts");
  return {
    ...ports,
    queue: protectedQueue(ports.queue, config.ecsAgentUri, (fields, message) =>
      logger.error(fields, message),
    ),
  };
}
