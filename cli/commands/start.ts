import { createServer } from "node:net";
import { type Command, InvalidArgumentError } from "commander";
import { type Config, readConfig } from "../../adapters/config.ts";
import { makeDataFolder } from "../data-folder.ts";
import { drainOnFault } from "../last-defence.ts";
import { openLogger } from "../logger.ts";
import { modelMemoryMb } from "../model-memory.ts";
import { serveMetrics } from "../serve-metrics.ts";
import { onStop } from "../stop.ts";
import { supervise } from "../supervise.ts";

interface StartOptions {
  readonly host?: string;
  readonly port?: string;
  readonly data?: string;
  readonly model?: string;
  readonly workers: number;
  readonly deliver: boolean;
}

const workersMax = 64;

/**
 * `vedere start`: the whole service on one machine. This process does none of its work: it keeps a
 * gateway and workers running, each in a process of its own. Its modules are few, so that little
 * can go wrong in it.
 */
export function addStart(program: Command): void {
  program
    .command("start")
    .description(
      "Starts the gateway and its workers. Ctrl-C stops them gracefully; a second one at once.",
    )
    .option("--host <address>", "where to listen (default: 127.0.0.1)")
    .option("--port <number>", "0 takes a free one (default: 4000)")
    .option("--data <dir>", "the data folder, made where it is missing (default: .vedere)")
    .option("--model <name>", "the default model (default: a pulled model, else the embedded one)")
    .option("--workers <n>", "worker processes; 0 runs the gateway alone", workerCount, 1)
    .option("--no-deliver", "leave webhooks to `vedere deliver`")
    .action(start);
}

async function start(options: StartOptions): Promise<void> {
  const config = await readFinalConfig(options);
  process.stdout.write(makeDataFolder(config) ?? "");
  const log = openLogger(config, { supervisor: process.pid });
  const stop = { kill: () => {} };
  const signal = drainOnFault(
    log,
    onStop(() => stop.kill()),
  );
  const model = config.model === null ? [] : ["--model", config.model];
  const common = ["--data", config.dataDir, ...model];
  const service = supervise({
    gatewayArgs: [
      ...["gateway", ...common, "--host", config.host, "--port", String(config.port)],
      ...(options.deliver ? [] : ["--no-deliver"]),
    ],
    workerArgs: [
      ...["worker", ...common],
      ...["--model-memory-mb", String(modelMemoryMb(config, options.workers))],
    ],
    workers: options.workers,
    heartbeatMs: config.heartbeatMs,
    signal,
    log,
  });
  stop.kill = service.kill;
  let endMetrics = () => {};
  try {
    const isUp = await service.up;
    if (isUp) endMetrics = await serveMetrics(config, service.metrics);
    const exitCode = await service.ended;
    if (exitCode !== 0) process.exitCode = exitCode;
  } finally {
    service.stop();
    await service.ended;
    endMetrics();
  }
}

/**
 * The settings, with a free port in the place of 0: a gateway that is started again keeps it, and
 * upload URLs name it.
 */
async function readFinalConfig({ host, port, data, model }: StartOptions): Promise<Config> {
  const overrides = { host, port, dataDir: data, model };
  const config = readConfig(undefined, overrides);
  return config.port === 0
    ? readConfig(undefined, { ...overrides, port: await freePort(config.host) })
    : config;
}

function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject).listen(0, host, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}

function workerCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count > workersMax)
    throw new InvalidArgumentError(`Give a whole number from 0 to ${workersMax}.`);
  return count;
}
