import { resolve } from "node:path";
import { expect, test } from "vitest";
import { type Overrides, readConfig } from "../../adapters/config.ts";
import { AppError } from "../../core/errors.ts";

function mistakesOf(env: Record<string, string>, overrides: Overrides = {}): string[] {
  try {
    readConfig(env, overrides);
  } catch (error) {
    if (error instanceof AppError && error.code === "SETTING_INVALID")
      return error.message.split("\n  ").slice(1);
    throw error;
  }
  return [];
}

test("without settings, everything has a default that works on one machine", () => {
  expect(readConfig({})).toEqual({
    store: "embedded",
    awsRegion: null,
    awsTable: null,
    awsBucket: null,
    awsQueueUrl: null,
    awsDeadLettersUrl: null,
    awsModelBucket: null,
    secretArn: null,
    ecsAgentUri: null,
    awsWakeQueueUrl: null,
    s3Endpoint: null,
    retentionDays: null,
    dataDir: resolve(".vedere"),
    host: "127.0.0.1",
    port: 4000,
    publicUrl: "http://127.0.0.1:4000",
    model: null,
    executionProviders: ["cpu"],
    precisions: null,
    modelMemoryMb: null,
    threads: null,
    runsAtOnce: 8,
    sightCacheMb: 256,
    leaseMs: 30_000,
    heartbeatMs: 5_000,
    hangMs: 600_000,
    secret: null,
    unitsPerSecond: null,
    burstUnits: 20_000,
    unitsPerMonth: null,
    unfinishedRuns: 10_000,
    openWaitsPerKey: 100,
    decoders: 2,
    trustedProxies: [],
    fetchPrivate: false,
    hubEndpoint: "https://huggingface.co",
    hubToken: null,
    logLevel: "info",
    otlpEndpoint: null,
    otlpHeaders: null,
    metricsPort: null,
  });
});

test("every setting can be made in the environment", () => {
  const env = {
    VEDERE_STORE: "aws",
    AWS_REGION: "eu-central-1",
    AWS_ENDPOINT_URL_S3: "https://s3.example.com",
    VEDERE_AWS_TABLE: "vedere",
    VEDERE_AWS_BUCKET: "vedere-images",
    VEDERE_AWS_QUEUE: "https://sqs.example.com/1/runs",
    VEDERE_AWS_DEAD_LETTERS: "https://sqs.example.com/1/dead",
    VEDERE_AWS_MODEL_BUCKET: "vedere-models",
    ECS_AGENT_URI: "http://169.254.170.2/api/x",
    VEDERE_SECRET_ARN: "arn:aws:secretsmanager:eu-central-1:111122223333:secret:vedere",
    VEDERE_AWS_WAKE_QUEUE: "https://sqs.example.com/1/wake",
    VEDERE_RETENTION_DAYS: "30",
    VEDERE_DATA: "/var/lib/vedere",
    VEDERE_HOST: "0.0.0.0",
    VEDERE_PORT: "80",
    VEDERE_PUBLIC_URL: "https://vision.example.com/api/",
    VEDERE_MODEL: "florence-2-base-ft",
    VEDERE_EXECUTION_PROVIDERS: "cuda, cpu",
    VEDERE_PRECISION: "fp16,fp32",
    VEDERE_MODEL_MEMORY_MB: "3000",
    VEDERE_THREADS: "4",
    VEDERE_RUNS_AT_ONCE: "3",
    VEDERE_SIGHT_CACHE_MB: "0",
    VEDERE_LEASE_MS: "5000",
    VEDERE_HEARTBEAT_MS: "1000",
    VEDERE_HANG_MS: "60000",
    VEDERE_SECRET: "s".repeat(32),
    VEDERE_UNITS_PER_SECOND: "500",
    VEDERE_BURST_UNITS: "9000",
    VEDERE_UNITS_PER_MONTH: "1000000",
    VEDERE_OPEN_WAITS_PER_KEY: "7",
    VEDERE_DECODERS: "3",
    VEDERE_TRUSTED_PROXIES: "10.0.0.0/8, 192.0.2.7,::1",
    VEDERE_UNFINISHED_RUNS: "50",
    VEDERE_FETCH_PRIVATE: "true",
    HF_ENDPOINT: "https://mirror.example.com",
    HF_TOKEN: "hf_x",
    VEDERE_LOG_LEVEL: "debug",
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector.example.com:4318",
    OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20token,x-team=vision",
    VEDERE_METRICS_PORT: "9464",
  };
  expect(readConfig(env)).toEqual({
    store: "aws",
    awsRegion: "eu-central-1",
    awsTable: "vedere",
    awsBucket: "vedere-images",
    awsQueueUrl: "https://sqs.example.com/1/runs",
    awsDeadLettersUrl: "https://sqs.example.com/1/dead",
    awsModelBucket: "vedere-models",
    ecsAgentUri: "http://169.254.170.2/api/x",
    secretArn: "arn:aws:secretsmanager:eu-central-1:111122223333:secret:vedere",
    awsWakeQueueUrl: "https://sqs.example.com/1/wake",
    s3Endpoint: "https://s3.example.com",
    retentionDays: 30,
    dataDir: resolve("/var/lib/vedere"),
    host: "0.0.0.0",
    port: 80,
    publicUrl: "https://vision.example.com/api",
    model: "florence-2-base-ft",
    executionProviders: ["cuda", "cpu"],
    precisions: ["fp16", "fp32"],
    modelMemoryMb: 3000,
    threads: 4,
    runsAtOnce: 3,
    sightCacheMb: 0,
    leaseMs: 5000,
    heartbeatMs: 1000,
    hangMs: 60_000,
    secret: "s".repeat(32),
    unitsPerSecond: 500,
    burstUnits: 9000,
    unitsPerMonth: 1_000_000,
    unfinishedRuns: 50,
    openWaitsPerKey: 7,
    decoders: 3,
    trustedProxies: ["10.0.0.0/8", "192.0.2.7/32", "::1/128"],
    fetchPrivate: true,
    hubEndpoint: "https://mirror.example.com",
    hubToken: "hf_x",
    logLevel: "debug",
    otlpEndpoint: "http://collector.example.com:4318",
    otlpHeaders: { authorization: "Bearer token", "x-team": "vision" },
    metricsPort: 9464,
  });
});

test("all mistakes are reported at once, each with its name, what is wrong and what is allowed", () => {
  const mistakes = mistakesOf({
    VEDERE_PROT: "4000",
    VEDERE_STORE: "azure",
    VEDERE_HOST: "http://127.0.0.1",
    VEDERE_PORT: "70000",
    VEDERE_PUBLIC_URL: "ftp://example.com",
    VEDERE_EXECUTION_PROVIDERS: "cpu,gpu",
    VEDERE_PRECISION: "half",
    VEDERE_MODEL_MEMORY_MB: "2GB",
    VEDERE_THREADS: "0",
    VEDERE_RUNS_AT_ONCE: "0",
    VEDERE_SIGHT_CACHE_MB: "-1",
    VEDERE_LEASE_MS: "5",
    VEDERE_SECRET: "tooshort",
    VEDERE_UNITS_PER_SECOND: "0.5",
    VEDERE_BURST_UNITS: "0",
    VEDERE_UNITS_PER_MONTH: "many",
    VEDERE_OPEN_WAITS_PER_KEY: "0",
    VEDERE_DECODERS: "0",
    VEDERE_TRUSTED_PROXIES: "proxy",
    VEDERE_UNFINISHED_RUNS: "-1",
    VEDERE_FETCH_PRIVATE: "yes",
    VEDERE_LOG_LEVEL: "loud",
    VEDERE_METRICS_PORT: "0",
    PATH: "is nobody's business",
  });
  const allowed: Record<string, string> = {
    VEDERE_PROT: "VEDERE_PORT",
    VEDERE_STORE: "embedded",
    VEDERE_HOST: "0.0.0.0",
    VEDERE_PORT: "from 0 to 65535",
    VEDERE_PUBLIC_URL: "http or https",
    VEDERE_EXECUTION_PROVIDERS: "cpu, cuda",
    VEDERE_PRECISION: "fp32, fp16",
    VEDERE_MODEL_MEMORY_MB: "a whole number",
    VEDERE_THREADS: "from 1 to 1024",
    VEDERE_RUNS_AT_ONCE: "from 1 to 256",
    VEDERE_SIGHT_CACHE_MB: "from 0 to 1000000",
    VEDERE_LEASE_MS: "from 1000 to 3600000",
    VEDERE_SECRET: "at least 32 characters",
    VEDERE_UNITS_PER_SECOND: "from 1 to 100000000",
    VEDERE_BURST_UNITS: "from 1 to 100000000",
    VEDERE_UNITS_PER_MONTH: "from 1 to 999999999",
    VEDERE_OPEN_WAITS_PER_KEY: "from 1 to 1000000",
    VEDERE_DECODERS: "from 1 to 64",
    VEDERE_TRUSTED_PROXIES: "such as 10.0.0.0/8,::1",
    VEDERE_UNFINISHED_RUNS: "from 1 to 100000000",
    VEDERE_FETCH_PRIVATE: "true, false",
    VEDERE_LOG_LEVEL: "info, debug",
    VEDERE_METRICS_PORT: "from 1 to 65535",
  };
  expect(mistakes.map((line) => line.split(":")[0]).sort()).toEqual(Object.keys(allowed).sort());
  for (const line of mistakes) expect(line).toContain(allowed[line.split(":")[0] ?? ""]);
});

test("a secret that is refused is not shown", () => {
  expect(mistakesOf({ VEDERE_SECRET: "hunter2" }).join()).not.toContain("hunter2");
});

test("the command line goes before the environment, and its mistakes are named after its setting", () => {
  expect(readConfig({ VEDERE_PORT: "1" }, { port: 2 }).port).toBe(2);
  expect(readConfig({ VEDERE_PORT: "1" }, { port: undefined }).port).toBe(1);
  expect(mistakesOf({ VEDERE_PORT: "1" }, { port: "many" })).toEqual([
    expect.stringMatching(/^port: "many" is not/),
  ]);
});

test("an empty variable counts as unset", () => {
  expect(readConfig({ VEDERE_MODEL: "", VEDERE_PORT: "" })).toEqual(readConfig({}));
});

test.each([
  { host: "0.0.0.0", publicUrl: "http://localhost:4000" },
  { host: "::", publicUrl: "http://localhost:4000" },
  { host: "::1", publicUrl: "http://[::1]:4000" },
  { host: "10.0.0.7", publicUrl: "http://10.0.0.7:4000" },
])("clients of a gateway on $host are sent to $publicUrl", ({ host, publicUrl }) => {
  expect(readConfig({}, { host }).publicUrl).toBe(publicUrl);
});

test("a configuration cannot be changed once it is read", () => {
  const config = readConfig({});
  expect(Object.isFrozen(config)).toBe(true);
  expect(Object.isFrozen(config.executionProviders)).toBe(true);
});
