import type { Command } from "commander";
import { readConfig } from "../../adapters/config.ts";
import { connect } from "../../adapters/connect.ts";
import { openEngine } from "../../inference/florence2/engine.ts";
import { runWorker } from "../../inference/worker.ts";
import { defaultModel } from "../local-models.ts";
import { openLogger } from "../logger.ts";
import { onStop } from "../stop.ts";

/** `vedere worker`: takes runs from the queue and answers them, until it is stopped; the run in progress is finished first. */
export function addWorker(program: Command): void {
  program
    .command("worker")
    .description(
      "Runs one worker on the store of a data folder, beside those of `vedere start`. Ctrl-C stops it after the run that it has.",
    )
    .option("--data <dir>", "the data folder (default: .vedere)")
    .option("--model <id>", "the model to have ready (default: the service's default model)")
    .action(work);
}

async function work(options: { readonly data?: string; readonly model?: string }): Promise<void> {
  const orphaned = new AbortController();
  process.once("disconnect", () => orphaned.abort()); // `vedere start` is gone: nobody would stop this process any more
  const signal = AbortSignal.any([onStop(() => {}), orphaned.signal]);
  const config = readConfig(undefined, { dataDir: options.data, model: options.model });
  const logger = openLogger(config, { worker: process.pid });
  const ports = await connect(config);
  const engine = openEngine({ models: ports.models, executionProviders: config.executionProviders, threads: config.threads });
  try {
    const { id } = await defaultModel(ports.models);
    await engine.see(id, []); // loads the model, so that the first run need not wait for it
    process.send?.("ready");
    logger.info({ model: id }, "ready");
    await runWorker(ports, engine, {
      signal,
      leaseMs: config.leaseMs,
      log: (event, fields) => logger[event === "error" ? "error" : "info"](fields, event),
    });
  } finally {
    await engine.close();
    await ports.close();
    if (process.connected) process.disconnect(); // an open channel to the parent would keep this process alive
  }
}
