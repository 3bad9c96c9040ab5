import type { Command } from "commander";
import { type Config, type Overrides, readConfig } from "../../adapters/config.ts";
import { type Connection, connect } from "../../adapters/connect.ts";
import {
  type GatewayMetrics,
  openDeliveryMetrics,
  openGatewayMetrics,
} from "../../adapters/metrics.ts";
import type { Log } from "../../api/context.ts";
import type { ProcessHealth } from "../../api/health.ts";
import { type Listening, listen } from "../../api/http.ts";
import { createGateway } from "../../api/server.ts";
import { AppError } from "../../core/errors.ts";
import { silenceShownMs, workerCounts } from "../../core/model-status.ts";
import type { Tracing } from "../../core/tracing.ts";
import type { Decode } from "../../images/decode-whole.ts";
import { openDecoders } from "../../images/decoders.ts";
import { makeDataFolder } from "../data-folder.ts";
import { deliver } from "../deliver.ts";
import { fetchPublished } from "../fetch-published.ts";
import { beatsOf, mainThread, startHeartbeat, type WatchedPart } from "../heartbeat.ts";
import { prepareHello } from "../hello.ts";
import { drainOnFault } from "../last-defence.ts";
import { findModel } from "../local-models.ts";
import { localKey, localKeyFile } from "../local-tenant.ts";
import { openLogger } from "../logger.ts";
import { tracingOf } from "../open-tracing.ts";
import { hasParent, leaveParent, tellParent } from "../parent.ts";
import { retainUntil } from "../retain-until.ts";
import { serveMetrics } from "../serve-metrics.ts";
import { servesPage, signInLink } from "../sign-in-link.ts";
import { onStop } from "../stop.ts";
import { sweepUntil } from "../sweep-until.ts";

interface GatewayOptions {
  readonly host?: string;
  readonly port?: string;
  readonly data?: string;
  readonly model?: string;
  readonly deliver: boolean;
  readonly heartbeatMs?: string;
}

/**
 * How long requests may take that are in progress when the gateway stops: as long as an image may
 * be decoded, and a little.
 */
const graceMs = 12_000;

/** A gateway never computes for long: its main thread is stuck far sooner than a worker's. */
const watched: readonly WatchedPart[] = [
  { name: mainThread, limitMs: 60_000 },
  { name: "sweeper", limitMs: 300_000 },
  { name: "deliverer", limitMs: 300_000 },
];

/**
 * `vedere gateway`: the gateway alone, with its sweeper and deliverer. `vedere start` runs it, and
 * workers beside it.
 */
export function addGateway(program: Command): void {
  program
    .command("gateway", { hidden: true })
    .description("Runs the gateway alone, without workers and without anybody to restart it.")
    .option("--host <address>", "where to listen (default: 127.0.0.1)")
    .option("--port <number>", "the port to listen on (default: 4000)")
    .option("--data <dir>", "the data folder, made where it is missing (default: .vedere)")
    .option("--model <name>", "the default model (default: a pulled model, else the embedded one)")
    .option("--no-deliver", "leave webhooks to `vedere deliver`")
    .option("--heartbeat-ms <n>", "set by `vedere start`")
    .action(run);
}

async function run(options: GatewayOptions): Promise<void> {
  const { host, port, data, model } = options;
  const overrides: Overrides = { host, port, dataDir: data, model };
  const config = readConfig(undefined, overrides);
  const log = openLogger(config, { gateway: process.pid });
  const signal = drainOnFault(
    log,
    onStop(() => {}),
  );
  process.stdout.write(makeDataFolder(config) ?? "");
  const heartbeat = startHeartbeat(beatsOf(options), watched);
  await fetchPublished(config, log); // once, before the workers would do so each
  const ports = await connect(config);
  const tracing = await tracingOf(config, "gateway", log);
  const metrics = openGatewayMetrics();
  const decoders = openDecoders({ count: config.decoders, onDecode: metrics.decode });
  const deliveries = openDeliveryMetrics();
  const values = async () => {
    metrics.decoders(decoders.state());
    metrics.depth(await ports.queue.depth());
    const now = ports.clock.now();
    metrics.workers(workerCounts(await ports.registry.reports(now - silenceShownMs), now));
    return [await metrics.values(), await deliveries.values()];
  };
  let processes: ProcessHealth | null = null;
  process.on("message", (message) => {
    if (message === "metrics")
      values().then(
        (parts) => tellParent({ metrics: parts.flat() }),
        (err: unknown) => log.error({ err }, "the gateway's metrics cannot be read"),
      );
    else if (typeof message === "object" && message !== null && "processes" in message)
      processes = message.processes as ProcessHealth; // from `vedere start`, which is of this release
  });
  let listening: Listening | null = null;
  let endMetrics = () => {};
  try {
    const key = await localKey(ports, config.dataDir);
    const tools = { log, metrics, tracing, processes: () => processes, decode: decoders.decode };
    listening = await openGateway(config, ports, tools);
    const greeting = await greet(config, ports, key);
    log.info({ url: config.publicUrl }, "listening");
    if (hasParent()) {
      tellParent({ greeting });
      tellParent("ready");
    } else {
      endMetrics = await serveMetrics(config, values);
      process.stdout.write(greeting);
    }
    const onAttempt = deliveries.attempt;
    const onRound = () => heartbeat.moved("deliverer");
    const delivering = options.deliver
      ? deliver(config, ports, { signal, log, tracing, onAttempt, onRound })
      : Promise.resolve();
    await Promise.all([
      sweepUntil(signal, ports, { log, onRound: () => heartbeat.moved("sweeper") }).finally(() =>
        heartbeat.ended("sweeper"),
      ),
      delivering.finally(() => heartbeat.ended("deliverer")),
      retainUntil(signal, ports, { days: sweptDays(config), log }),
    ]);
  } finally {
    endMetrics();
    await listening?.close(graceMs);
    await decoders.close();
    await tracing.close();
    await ports.close();
    leaveParent();
  }
}

/**
 * In AWS the table and the bucket keep the service's setting by themselves; tenants' own limits are
 * swept for in both.
 */
function sweptDays({ store, retentionDays }: Config): number | null {
  return store === "aws" ? null : retentionDays;
}

async function openGateway(
  config: Config,
  ports: Connection,
  {
    log,
    metrics,
    tracing,
    processes,
    decode,
  }: {
    log: Log;
    metrics: GatewayMetrics;
    tracing: Tracing;
    processes: () => ProcessHealth | null;
    decode: Decode;
  },
): Promise<Listening> {
  const gateway = await createGateway({
    ports,
    secret: ports.secret,
    publicUrl: config.publicUrl,
    fetch: { allowPrivate: config.fetchPrivate },
    work: config,
    openWaitsPerKey: config.openWaitsPerKey,
    trustedProxies: config.trustedProxies,
    decode,
    log,
    tracing,
    onRequest: metrics.request,
    processes,
    graphiql: servesPage(config),
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
  const link = await signInLink({ ...ports, pepper: ports.secret }, config, key.text);
  const page =
    link === null
      ? "none: it needs a host and a public URL of this machine"
      : `${link}\n                (signs in once, within 15 minutes; \`vedere link\` prints another)`;
  return `
  Vedere        ${config.publicUrl}/graphql
  GraphiQL      ${page}
  Model         ${model.id} (${model.precision}). ${model.description}
  API key       ${key.isNew ? key.text : "as before"}   (in ${localKeyFile(config.dataDir)})

  Try it, on a sample image:

    ${curl}

`;
}
