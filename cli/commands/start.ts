import { createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { type Command, InvalidArgumentError } from "commander";
import { type Config, readConfig } from "../../adapters/config.ts";
import { type Connection, connect } from "../../adapters/connect.ts";
import {
  type GatewayMetrics,
  openDeliveryMetrics,
  openGatewayMetrics,
} from "../../adapters/metrics.ts";
import type { Log } from "../../api/context.ts";
import { type Listening, listen } from "../../api/http.ts";
import { createGateway } from "../../api/server.ts";
import { AppError } from "../../core/errors.ts";
import { sweep } from "../../core/sweep.ts";
import type { Tracing } from "../../core/tracing.ts";
import { deliver } from "../deliver.ts";
import { fetchPublished } from "../fetch-published.ts";
import { prepareHello } from "../hello.ts";
import { findModel } from "../local-models.ts";
import { localKey, localKeyFile } from "../local-tenant.ts";
import { openLogger } from "../logger.ts";
import { modelMemoryMb } from "../model-memory.ts";
import { tracingOf } from "../open-tracing.ts";
import { serveMetrics } from "../serve-metrics.ts";
import { onStop } from "../stop.ts";
import { superviseWorkers } from "../supervise.ts";

interface StartOptions {
  readonly host?: string;
  readonly port?: string;
  readonly data?: string;
  readonly model?: string;
  readonly workers: number;
  readonly deliver: boolean;
}

const sweepEveryMs = 5_000;
const workersMax = 64;

/** `vedere start`: the whole service on one machine, the gateway in this process and each worker in one of its own. */
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
  const log = openLogger(config, { gateway: process.pid });
  await fetchPublished(config, log); // once, before the workers would do so each
  const ports = await connect(config);
  const tracing = await tracingOf(config, "gateway", log);
  const metrics = openGatewayMetrics();
  const deliveries = openDeliveryMetrics();
  let listening: Listening | null = null;
  let endMetrics = () => {};
  try {
    const key = await localKey(ports, config.dataDir);
    listening = await openGateway(config, ports, { log, key: key.text, metrics, tracing });
    const greeting = await greet(config, ports, key);
    const stop = { kill: () => {} };
    const signal = onStop(() => stop.kill());
    const memoryMb = String(modelMemoryMb(config, options.workers));
    const args = [
      "--data",
      config.dataDir,
      "--model-memory-mb",
      memoryMb,
      ...(config.model === null ? [] : ["--model", config.model]),
    ];
    const workers = superviseWorkers({ count: options.workers, args, signal, log });
    stop.kill = workers.kill;
    endMetrics = await serveMetrics(config, async () => {
      metrics.depth(await ports.queue.depth());
      return [await metrics.values(), await deliveries.values(), ...(await workers.metrics())];
    });
    process.stdout.write(greeting);
    void workers.ready.then(() => process.stdout.write("Ready.\n"));
    const delivering = options.deliver
      ? deliver(config, ports, { signal, log, tracing, onAttempt: deliveries.attempt })
      : null;
    await Promise.all([workers.ended, sweepUntil(signal, ports, log), delivering]);
  } finally {
    endMetrics();
    await listening?.close();
    await tracing.close();
    await ports.close();
  }
}

/** The settings, with a free port in the place of 0: upload URLs must name it before anybody listens. */
async function readFinalConfig({ host, port, data, model }: StartOptions): Promise<Config> {
  const overrides = { host, port, dataDir: data, model };
  const config = readConfig(undefined, overrides);
  return config.port === 0
    ? readConfig(undefined, { ...overrides, port: await freePort(config.host) })
    : config;
}

async function openGateway(
  config: Config,
  ports: Connection,
  {
    log,
    key,
    metrics,
    tracing,
  }: { log: Log; key: string; metrics: GatewayMetrics; tracing: Tracing },
): Promise<Listening> {
  const gateway = await createGateway({
    ports,
    secret: ports.secret,
    publicUrl: config.publicUrl,
    fetch: { allowPrivate: config.fetchPrivate },
    work: config,
    openWaitsPerKey: config.openWaitsPerKey,
    log,
    tracing,
    onRequest: metrics.request,
    graphiql: true,
    localKey: key,
  });
  try {
    return await listen(gateway, config);
  } catch (error) {
    await gateway.close();
    throw listenError(error, config);
  }
}

function listenError(error: unknown, { host, port }: Config): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  const refusals: Readonly<Record<string, { message: string; fix: string }>> = {
    EADDRINUSE: {
      message: `Port ${port} of ${host} is in use.`,
      fix: `Choose another, \`--port ${port + 1}\`, or stop what listens there.`,
    },
    EACCES: {
      message: `This user may not listen on port ${port}.`,
      fix: "Choose a port above 1023 with --port.",
    },
    EADDRNOTAVAIL: {
      message: `${host} is no address of this machine.`,
      fix: "Choose one that is with --host, such as 127.0.0.1 or 0.0.0.0.",
    },
    ENOTFOUND: {
      message: `The host ${host} is unknown.`,
      fix: "Choose an address of this machine with --host, such as 127.0.0.1 or 0.0.0.0.",
    },
  };
  const refusal = typeof code === "string" ? refusals[code] : undefined;
  return refusal
    ? new AppError("SETTING_INVALID", refusal.message, { fix: refusal.fix, cause: error })
    : error;
}

async function greet(
  config: Config,
  ports: Connection,
  key: { text: string; isNew: boolean },
): Promise<string> {
  const model = await findModel(ports.models, config.model);
  const curl = await prepareHello(config.dataDir, config.publicUrl);
  return `
  Vedere        ${config.publicUrl}/graphql
  GraphiQL      ${config.publicUrl}/   (from this machine)
  Model         ${model.id} (${model.precision}). ${model.description}
  API key       ${key.isNew ? key.text : "as before"}   (in ${localKeyFile(config.dataDir)})

  Try it, on a sample image:

    ${curl}

`;
}

/** Housekeeping until `signal` aborts. */
async function sweepUntil(signal: AbortSignal, ports: Connection, log: Log): Promise<void> {
  const resent = new Map<string, number>();
  while (!signal.aborted) {
    try {
      await sweep(ports, resent);
    } catch (err) {
      log.error({ err }, "a sweep failed; the next one tries again");
    }
    await pause(sweepEveryMs, undefined, { signal }).catch(() => undefined); // rejects when aborted, which the loop sees
  }
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
