import { resolve } from "node:path";
import { AppError } from "../core/errors.ts";
import { limits } from "../core/limits.ts";
import type { Precision } from "../core/model-layout.ts";
import {
  anyText,
  hostName,
  type Kind,
  listOf,
  longText,
  namedValues,
  networks,
  oneOf,
  queueAddress,
  webAddress,
  wholeNumber,
} from "./setting-kinds.ts";

/** How a service is set up: read once, at start, and nowhere else. */
export interface Config {
  /** Where everything lies: in the data folder, or in AWS. */
  readonly store: "embedded" | "aws";
  /** The store in AWS; all of them are there where it is chosen. */
  readonly awsRegion: string | null;
  readonly awsTable: string | null;
  readonly awsBucket: string | null;
  readonly awsQueueUrl: string | null;
  readonly awsDeadLettersUrl: string | null;
  /** Where workers fetch models from when they start; null: they have theirs in the data folder. */
  readonly awsModelBucket: string | null;
  /** Who delivers webhooks is woken by a message here; null: who delivers looks by itself. */
  readonly awsWakeQueueUrl: string | null;
  /** Where the agent of ECS listens, in a task of ECS; null elsewhere. */
  readonly ecsAgentUri: string | null;
  /** Another S3 than Amazon's, addressed by path; null: Amazon's. */
  readonly s3Endpoint: string | null;
  /** The folder of the database, the images, the pulled models and the secret; absolute. */
  readonly dataDir: string;
  readonly host: string;
  /**
   * 0 takes any free port: who listens then reads the configuration again with the port that was
   * taken.
   */
  readonly port: number;
  /** Where clients reach the gateway; no slash at its end. */
  readonly publicUrl: string;
  /**
   * The default model: an id, `id@revision` or an alias; null leaves the choice to the models that
   * are there.
   */
  readonly model: string | null;
  /** ONNX Runtime's execution providers, the preferred one first. */
  readonly executionProviders: readonly string[];
  /**
   * Numeric forms of the weights, the preferred first, for folders that hold several; null leaves
   * it to the model and the execution provider.
   */
  readonly precisions: readonly Precision[] | null;
  /**
   * What the models that one worker has loaded may take together, in MB; null: half of the
   * machine's memory, shared by the workers of `vedere start`.
   */
  readonly modelMemoryMb: number | null;
  /** Threads of one inference session; null leaves it to ONNX Runtime. */
  readonly threads: number | null;
  /** How many runs one worker has in progress at most; their questions share batches. */
  readonly runsAtOnce: number;
  /**
   * What one worker may keep in memory, in MB, of what models saw in images, for later runs on the
   * same images; 0 keeps nothing.
   */
  readonly sightCacheMb: number;
  /**
   * How long a worker holds a run between two signs of life; a run of a worker that died goes on
   * elsewhere after that.
   */
  readonly leaseMs: number;
  /**
   * How often the processes of `vedere start` report that they run; one that misses three is killed
   * and started again.
   */
  readonly heartbeatMs: number;
  /**
   * How long a step of a worker may hold its main thread, such as the load of a large model, before
   * the worker is taken for stuck.
   */
  readonly hangMs: number;
  /** Takes the place of DIR/secret.key, for services that share tenants but no folder. */
  readonly secret: string | null;
  /** The secret's place in AWS Secrets Manager, where `secret` is null. */
  readonly secretArn: string | null;
  /** How much work each tenant, and each of its keys, may ask for. */
  readonly unitsPerSecond: number | null;
  readonly burstUnits: number;
  readonly unitsPerMonth: number | null;
  readonly unfinishedRuns: number;
  /** Subscriptions and long polls that one key may have open at one gateway process. */
  readonly openWaitsPerKey: number;
  /** Processes in which one gateway decodes images, outside its own. */
  readonly decoders: number;
  /** Networks of proxies whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[];
  /**
   * After how many days a run that has finished, and what belongs to it, is deleted; null: never.
   */
  readonly retentionDays: number | null;
  /**
   * Whether the URLs of images and webhooks may use http and lead to private addresses: for
   * development only.
   */
  readonly fetchPrivate: boolean;
  /** The Hugging Face hub or a mirror of it, where models are pulled from; no slash at its end. */
  readonly hubEndpoint: string;
  /** For gated and private repositories of the hub. */
  readonly hubToken: string | null;
  readonly logLevel: (typeof logLevels)[number];
  /** Where a collector takes traces, OTLP over HTTP; null: nothing is traced. */
  readonly otlpEndpoint: string | null;
  /** What the collector asks for with each request, as name=value by comma. */
  readonly otlpHeaders: Readonly<Record<string, string>> | null;
  /** Where /metrics is served, to Prometheus; null: nowhere. */
  readonly metricsPort: number | null;
}

/** The command line's word for a setting goes before the environment's. */
export type Overrides = { readonly [Name in keyof Config]?: string | number | undefined };

const logLevels = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
const providers = ["cpu", "cuda", "tensorrt", "coreml", "dml", "webgpu"] as const;
const precisionNames = [
  "fp32",
  "fp16",
  "q8",
  "int8",
  "uint8",
  "q4",
  "bnb4",
  "q4f16",
] as const satisfies readonly Precision[];

const variables: Readonly<Record<keyof Config, string>> = {
  store: "VEDERE_STORE",
  awsRegion: "AWS_REGION", // the names that the AWS SDK reads
  s3Endpoint: "AWS_ENDPOINT_URL_S3",
  awsTable: "VEDERE_AWS_TABLE",
  awsBucket: "VEDERE_AWS_BUCKET",
  awsQueueUrl: "VEDERE_AWS_QUEUE",
  awsDeadLettersUrl: "VEDERE_AWS_DEAD_LETTERS",
  awsModelBucket: "VEDERE_AWS_MODEL_BUCKET",
  awsWakeQueueUrl: "VEDERE_AWS_WAKE_QUEUE",
  ecsAgentUri: "ECS_AGENT_URI", // set by ECS in its tasks
  dataDir: "VEDERE_DATA",
  host: "VEDERE_HOST",
  port: "VEDERE_PORT",
  publicUrl: "VEDERE_PUBLIC_URL",
  model: "VEDERE_MODEL",
  executionProviders: "VEDERE_EXECUTION_PROVIDERS",
  precisions: "VEDERE_PRECISION",
  modelMemoryMb: "VEDERE_MODEL_MEMORY_MB",
  threads: "VEDERE_THREADS",
  runsAtOnce: "VEDERE_RUNS_AT_ONCE",
  sightCacheMb: "VEDERE_SIGHT_CACHE_MB",
  leaseMs: "VEDERE_LEASE_MS",
  heartbeatMs: "VEDERE_HEARTBEAT_MS",
  hangMs: "VEDERE_HANG_MS",
  secret: "VEDERE_SECRET",
  secretArn: "VEDERE_SECRET_ARN",
  unitsPerSecond: "VEDERE_UNITS_PER_SECOND",
  burstUnits: "VEDERE_BURST_UNITS",
  unitsPerMonth: "VEDERE_UNITS_PER_MONTH",
  unfinishedRuns: "VEDERE_UNFINISHED_RUNS",
  openWaitsPerKey: "VEDERE_OPEN_WAITS_PER_KEY",
  decoders: "VEDERE_DECODERS",
  trustedProxies: "VEDERE_TRUSTED_PROXIES",
  retentionDays: "VEDERE_RETENTION_DAYS",
  fetchPrivate: "VEDERE_FETCH_PRIVATE",
  hubEndpoint: "HF_ENDPOINT", // the names that the hub's own tools read
  hubToken: "HF_TOKEN",
  logLevel: "VEDERE_LOG_LEVEL",
  otlpEndpoint: "OTEL_EXPORTER_OTLP_ENDPOINT", // OpenTelemetry's own names
  otlpHeaders: "OTEL_EXPORTER_OTLP_HEADERS",
  metricsPort: "VEDERE_METRICS_PORT",
};

const neededInAws = [
  "awsRegion",
  "awsTable",
  "awsBucket",
  "awsQueueUrl",
  "awsDeadLettersUrl",
] as const;

/**
 * Reads the configuration; an empty variable counts as unset. Throws AppError SETTING_INVALID with
 * all mistakes at once.
 */
export function readConfig(
  env: Readonly<Record<string, string | undefined>> = process.env,
  overrides: Overrides = {},
): Config {
  const known = Object.values(variables);
  const mistakes = Object.keys(env)
    .filter((name) => name.startsWith("VEDERE_") && !known.includes(name))
    .map((name) => `${name}: no such setting; there are ${known.join(", ")}`);

  const read = <Value, Fallback>(
    name: keyof Config,
    kind: Kind<Value>,
    fallback: Fallback,
  ): Value | Fallback => {
    const given = overrides[name] ?? env[variables[name]] ?? "";
    if (given === "") return fallback;
    const value = kind.parse(String(given));
    if (value !== undefined) return value;
    const shown =
      name === "secret" || name === "otlpHeaders" ? "its value" : JSON.stringify(String(given));
    mistakes.push(
      `${overrides[name] === undefined ? variables[name] : name}: ${shown} is not ${kind.allowed}`,
    );
    return fallback;
  };

  const host = read("host", hostName, "127.0.0.1");
  const port = read("port", wholeNumber(0, 65_535), 4000);
  const config: Config = {
    store: read("store", oneOf(["embedded", "aws"]), "embedded"),
    awsRegion: read("awsRegion", anyText, null),
    awsTable: read("awsTable", anyText, null),
    awsBucket: read("awsBucket", anyText, null),
    awsQueueUrl: read("awsQueueUrl", queueAddress, null),
    awsDeadLettersUrl: read("awsDeadLettersUrl", queueAddress, null),
    awsModelBucket: read("awsModelBucket", anyText, null),
    awsWakeQueueUrl: read("awsWakeQueueUrl", queueAddress, null),
    ecsAgentUri: read("ecsAgentUri", anyText, null),
    s3Endpoint: read("s3Endpoint", webAddress, null),
    dataDir: resolve(read("dataDir", anyText, ".vedere")),
    host,
    port,
    publicUrl: read("publicUrl", webAddress, addressOf(host, port)),
    model: read("model", anyText, null),
    executionProviders: Object.freeze(read("executionProviders", listOf(providers), ["cpu"])),
    precisions: Object.freeze(read("precisions", listOf(precisionNames), null)),
    modelMemoryMb: read("modelMemoryMb", wholeNumber(1, 100_000_000), null),
    threads: read("threads", wholeNumber(1, 1024), null),
    runsAtOnce: read("runsAtOnce", wholeNumber(1, 256), 8),
    sightCacheMb: read("sightCacheMb", wholeNumber(0, 1_000_000), 256),
    leaseMs: read("leaseMs", wholeNumber(1_000, 3_600_000), limits.lease.leaseMs),
    heartbeatMs: read("heartbeatMs", wholeNumber(100, 600_000), 5_000),
    hangMs: read("hangMs", wholeNumber(1_000, 86_400_000), 600_000),
    secret: read("secret", longText(32), null),
    secretArn: read("secretArn", anyText, null),
    unitsPerSecond: read("unitsPerSecond", wholeNumber(1, 100_000_000), null),
    burstUnits: read("burstUnits", wholeNumber(1, 100_000_000), limits.burstUnits),
    unitsPerMonth: read("unitsPerMonth", wholeNumber(1, 999_999_999), null),
    decoders: read("decoders", wholeNumber(1, 64), 2),
    trustedProxies: read("trustedProxies", networks, []),
    openWaitsPerKey: read("openWaitsPerKey", wholeNumber(1, 1_000_000), limits.openWaitsPerKey),
    unfinishedRuns: read("unfinishedRuns", wholeNumber(1, 100_000_000), limits.unfinishedRunsMax),
    retentionDays: read("retentionDays", wholeNumber(1, 3_650), null),
    fetchPrivate: read("fetchPrivate", oneOf(["true", "false"]), "false") === "true",
    hubEndpoint: read("hubEndpoint", webAddress, "https://huggingface.co"),
    hubToken: read("hubToken", anyText, null),
    logLevel: read("logLevel", oneOf(logLevels), "info"),
    otlpEndpoint: read("otlpEndpoint", webAddress, null),
    otlpHeaders: Object.freeze(read("otlpHeaders", namedValues, null)),
    metricsPort: read("metricsPort", wholeNumber(1, 65_535), null),
  };
  if (config.store === "aws") {
    const missing = neededInAws.filter(
      (name) =>
        config[name] === null && !mistakes.some((mistake) => mistake.startsWith(variables[name])),
    );
    mistakes.push(
      ...missing.map((name) => `${variables[name]}: is needed where VEDERE_STORE is aws`),
    );
    // A data folder's own secret is known to one machine only.
    if (config.secret === null && config.secretArn === null)
      mistakes.push("VEDERE_SECRET: is needed where VEDERE_STORE is aws, or VEDERE_SECRET_ARN");
  }
  if (mistakes.length > 0) {
    throw new AppError("SETTING_INVALID", ["The settings are wrong:", ...mistakes].join("\n  "), {
      fix: "Correct or unset them.",
    });
  }
  return Object.freeze(config);
}

/** The workers in the cloud, as the functions that scale them know them. */
export interface FleetSettings {
  readonly cluster: string | null;
  readonly service: string | null;
  /** The function that scales them, for who wants to start it at once. */
  readonly scaler: string | null;
  /** A scaling policy as JSON. */
  readonly policy: string | null;
}

/** Set by the stack that runs the functions, and by nobody else. */
export function readFleet(
  env: Readonly<Record<string, string | undefined>> = process.env,
): FleetSettings {
  const {
    FLEET_CLUSTER: cluster,
    FLEET_SERVICE: service,
    FLEET_SCALER: scaler,
    FLEET_POLICY: policy,
  } = env;
  return {
    cluster: cluster || null,
    service: service || null,
    scaler: scaler || null,
    policy: policy || null,
  };
}

/** A browser cannot call "every address of this machine", but it can call this machine. */
function addressOf(host: string, port: number): string {
  const name = host === "0.0.0.0" || host === "::" ? "localhost" : host;
  return `http://${name.includes(":") ? `[${name}]` : name}:${port}`;
}
