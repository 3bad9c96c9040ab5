import type { Command } from "commander";
import { connect } from "../../adapters/connect.ts";
import { openDeliveryMetrics } from "../../adapters/metrics.ts";
import { readDataConfig } from "../data-folder.ts";
import { deliver } from "../deliver.ts";
import { drainOnFault } from "../last-defence.ts";
import { openLogger } from "../logger.ts";
import { tracingOf } from "../open-tracing.ts";
import { serveMetrics } from "../serve-metrics.ts";
import { onStop } from "../stop.ts";

/**
 * `vedere deliver`: delivers webhooks, beside those that `vedere start` delivers or in its place.
 */
export function addDeliver(program: Command): void {
  program
    .command("deliver")
    .description(
      "Delivers webhooks from the store of a data folder. Ctrl-C stops it after the deliveries in progress.",
    )
    .option("--data <dir>", "the data folder (default: .vedere)")
    .action(run);
}

async function run({ data }: { data?: string }): Promise<void> {
  const config = readDataConfig({ dataDir: data });
  const log = openLogger(config, { deliverer: process.pid });
  const signal = drainOnFault(
    log,
    onStop(() => {}),
  );
  const ports = await connect(config);
  const tracing = await tracingOf(config, "deliverer", log);
  const metrics = openDeliveryMetrics();
  const endMetrics = await serveMetrics(config, async () => [await metrics.values()]);
  try {
    log.info({}, "ready");
    await deliver(config, ports, { signal, log, tracing, onAttempt: metrics.attempt });
  } finally {
    endMetrics();
    await tracing.close();
    await ports.close();
  }
}
