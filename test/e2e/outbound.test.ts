import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const cli = join(root, "dist/cli/main.js");
const sample = join(root, "models/samples/park.jpg");

let folder: string;
let home: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vedere-outbound-"));
  home = join(folder, "home");
  for (const name of ["home", "home/cache", "home/tmp"]) mkdirSync(join(folder, name));
});
afterEach(() => rmSync(folder, { recursive: true }));

const recorded = () => join(folder, "recorded");
const traced = () => join(folder, "traced");

/**
 * A machine's settings that other software may have left, and none that asks Vedere for a
 * connection.
 */
function environment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    PATH: process.env.PATH ?? "",
    HOME: home,
    XDG_CACHE_HOME: join(home, "cache"),
    TMPDIR: join(home, "tmp"),
    NODE_OPTIONS: `--require ${join(import.meta.dirname, "outbound-recorder.cjs")}`,
    RECORDER_FILE: recorded(),
    VEDERE_DATA: join(folder, "data"),
    APOLLO_KEY: "service:vedere:key",
    APOLLO_GRAPH_REF: "vedere@current",
    APOLLO_SCHEMA_REPORTING: "true",
    OTEL_TRACES_EXPORTER: "otlp",
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://collector.invalid:4318",
    AWS_REGION: "eu-central-1",
    ...more,
  };
}

type Launch = (args: readonly string[], env: Record<string, string>) => ChildProcess;

const plain: Launch = (args, env) =>
  spawn(process.execPath, [cli, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });

/** -D: strace is the grandchild, so signals for the child reach the service itself. */
const underStrace: Launch = (args, env) =>
  spawn(
    "strace",
    ["-D", "-f", "-qq", "-o", traced(), "-e", calls, process.execPath, cli, ...args],
    { env, stdio: ["ignore", "pipe", "pipe"] },
  );
const calls = "trace=connect,sendto,sendmsg,sendmmsg";

/**
 * The service's main job: it starts, answers one run and stops. `webhookUrl` makes the run call it.
 */
async function work(launch: Launch, env: Record<string, string>, webhookUrl?: string) {
  const service = launch(["start", "--port", "0"], env);
  try {
    const url = await addressOf(service);
    const key = readFileSync(join(folder, "data", "local.key"), "utf8").trim();
    const secret = `whsec_${Buffer.alloc(32, 1).toString("base64")}`;
    const input = {
      source: { base64: readFileSync(sample, "base64") },
      tasks: [{ caption: {} }],
      waitMs: 30_000,
      ...(webhookUrl && { webhook: { url: webhookUrl, secret } }),
    };
    const query =
      "mutation ($input: RunCreateInput!) { runCreate(input: $input) { run { status } userErrors { message } } }";
    const response = await fetch(`${url}/graphql`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify({ query, variables: { input } }),
    });
    expect(await response.json()).toMatchObject({
      data: { runCreate: { run: { status: "SUCCEEDED" } } },
    });
    return { end: () => endOf(service, "SIGTERM") };
  } catch (error) {
    await endOf(service, "SIGKILL");
    throw error;
  }
}

function addressOf(service: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const read = (chunk: Buffer) => {
      text += chunk.toString();
      const url = /http:\/\/127\.0\.0\.1:\d+/.exec(text)?.[0];
      if (url && text.includes("curl ") && existsSync(join(folder, "data", "local.key")))
        resolve(url);
    };
    service.stdout?.on("data", read);
    service.stderr?.on("data", read);
    service.once("exit", (code) => reject(new Error(`The service ended with ${code}: ${text}`)));
  });
}

function endOf(child: ChildProcess, signal?: NodeJS.Signals): Promise<number | null> {
  return new Promise((resolve) => {
    if (child.exitCode !== null) return resolve(child.exitCode);
    child.once("exit", (code) => resolve(code));
    if (signal) child.kill(signal);
  });
}

/** Every file below the fresh HOME; empty folders are the test's own. */
const leftInHome = () =>
  readdirSync(home, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name));

/**
 * What the Node.js processes dialed or looked up. A server's own address is looked up by `listen`.
 */
const recordedLines = () =>
  existsSync(recorded())
    ? readFileSync(recorded(), "utf8")
        .split("\n")
        .filter((line) => line !== "" && line !== "dns 127.0.0.1")
    : [];

/**
 * Internet addresses that any process or native library addressed, and resolvers' sockets that it
 * opened.
 */
const tracedLines = () =>
  readFileSync(traced(), "utf8")
    .split("\n")
    .filter((line) => /AF_INET|nscd|resolve/.test(line));

async function listenForWebhooks() {
  const received: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    received.push(request.url);
    response.writeHead(204).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { received, port, close: () => server.close() };
}

test("ONNX Runtime leaves a device id in HOME unless it is told not to: these tests can fail", () => {
  const graph = join(root, "models/florence-2-nano/onnx/embed_tokens.onnx");
  const script = `require("onnxruntime" + "-node").InferenceSession.create(${JSON.stringify(graph)})`;
  execFileSync(process.execPath, ["-e", script], { env: environment(), cwd: root });
  expect(leftInHome().join()).toContain("deviceid");
});

test("the service answers a run without a connection, a name looked up or a file in HOME", async () => {
  const { end } = await work(plain, environment());
  expect(await end()).toBe(0);
  expect(recordedLines()).toEqual([]);
  expect(leftInHome()).toEqual([]);
}, 60_000);

test("vedere analyze and doctor make no connection and leave nothing in HOME", async () => {
  mkdirSync(join(folder, "data")); // only `start` makes a folder that is named
  expect(await endOf(plain(["analyze", sample], environment()))).toBe(0);
  expect(recordedLines()).toEqual([]);
  await endOf(plain(["doctor", "--port", "0"], environment()));
  expect(leftInHome()).toEqual([]);
}, 60_000);

test("a webhook is the one connection of a run that asks for it", async () => {
  const receiver = await listenForWebhooks();
  const url = `http://127.0.0.1:${receiver.port}/hook`;
  const { end } = await work(plain, environment({ VEDERE_FETCH_PRIVATE: "true" }), url);
  await expect.poll(() => receiver.received, { timeout: 20_000 }).toEqual(["/hook"]);
  await end();
  receiver.close();
  const dialed = recordedLines();
  expect(dialed.length).toBeGreaterThan(0);
  expect(dialed.filter((line) => !line.includes(`127.0.0.1:${receiver.port}`))).toEqual([]);
}, 60_000);

const straceFault = faultOfStrace();
/**
 * A build machine must be able to look; elsewhere the Node.js processes above are all that is
 * watched.
 */
test.skipIf(straceFault !== null && !process.env.CI)(
  `no native library makes a connection either${straceFault ? ` (skipped: ${straceFault})` : ""}`,
  async () => {
    const receiver = await listenForWebhooks();
    const quiet = await work(underStrace, environment());
    await quiet.end();
    expect(tracedLines()).toEqual([]);

    const url = `http://127.0.0.1:${receiver.port}/hook`;
    const env = environment({ VEDERE_FETCH_PRIVATE: "true" });
    const calling = await work(underStrace, env, url);
    await expect.poll(() => receiver.received, { timeout: 20_000 }).toEqual(["/hook"]);
    await calling.end();
    receiver.close();
    await expect.poll(tracedLines).not.toEqual([]);
    expect(tracedLines().filter((line) => !line.includes(`htons(${receiver.port})`))).toEqual([]);
  },
  120_000,
);

function faultOfStrace(): string | null {
  const { error, status } = spawnSync("strace", ["-qq", "-o", "/dev/null", "true"]);
  if (error) return "strace is not installed";
  return status === 0 ? null : "this machine does not allow tracing";
}
