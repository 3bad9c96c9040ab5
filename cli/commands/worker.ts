import { hostname } from "node:os";
import { type Command, Option } from "commander";
import type { Logger } from "pino";
import type { Config } from "../../adapters/config.ts";
import { type Connection, connect } from "../../adapters/connect.ts";
import { openWorkerMetrics } from "../../adapters/metrics.ts";
import { randomBase62 } from "../../core/tenant.ts";
import { openEngine } from "../../inference/florence2/engine.ts";
import { openModelReports } from "../../inference/model-reports.ts";
import { runWorker } from "../../inference/worker.ts";
import { readDataConfig } from "../data-folder.ts";
import { fetchPublished } from "../fetch-published.ts";
import { beatsOf, mainThread, startHeartbeat } from "../heartbeat.ts";
import { drainOnFault } from "../last-defence.ts";
import { findModel } from "../local-models.ts";
import { openLogger } from "../logger.ts";
import { modelMemoryMb } from "../model-memory.ts";
import { tracingOf } from "../open-tracing.ts";
import { hasParent, leaveParent, tellParent } from "../parent.ts";
import { serveMetrics } from "../serve-metrics.ts";
import { onStop } from "../stop.ts";

/**
 * `vedere worker`: takes runs from the queue and answers them, until it is stopped; the runs in
 * progress are finished first.
 */
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
    .addOption(new Option("--heartbeat-ms <n>", "set by `vedere start`").hideHelp())
    .action(work);
}

interface WorkerOptions {
  readonly data?: string;
  readonly model?: string;
  readonly modelMemoryMb?: string;
  readonly heartbeatMs?: string;
}

async function work(options: WorkerOptions): Promise<void> {
  const config = readDataConfig({
    dataDir: options.data,
    model: options.model,
    modelMemoryMb: options.modelMemoryMb,
  });
  const logger = openLogger(config, { worker: process.pid });
  const signal = drainOnFault(
    logger,
    onStop(() => {}),
  );
  startHeartbeat(beatsOf(options), [{ name: mainThread, limitMs: config.hangMs }]);
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
  process.on("message", (message) => {
    if (message !== "metrics") return;
    metrics.values().then(
      (values) => tellParent({ metrics: values }),
      (err: unknown) => logger.error({ err }, "the worker's metrics cannot be read"),
    );
  });
  const ended = new AbortController();
  const reporting = reports.run(engine, ended.signal);
  // The workers of `vedere start` tell theirs to it.
  const endMetrics = hasParent()
    ? () => {}
    : await serveMetrics(config, async () => [await metrics.values()]);
  try {
    const { id } = await findModel(ports.models, config.model);
    const ready = await engine.hold(config.model ?? id, signal); // so that the first run need not wait for it
    ready.release();
    tellParent("ready");
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
    leaveParent();
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
