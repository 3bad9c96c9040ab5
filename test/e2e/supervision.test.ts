import { type ChildProcess, spawn } from "node:child_process";
import { lookup } from "node:dns";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import sharp from "sharp";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readConfig } from "../../adapters/config.ts";
import { connect } from "../../adapters/connect.ts";
import { buildGatewaySchema } from "../../api/schema.ts";
import { openDeliverer } from "../../api/webhooks/deliverer.ts";
import { openSender } from "../../api/webhooks/send.ts";
import { picture } from "../picture.ts";
import { startReceiver } from "../webhook-receiver.ts";

const cli = join(import.meta.dirname, "../../dist/cli/main.js");
const heartbeatMs = 500;

let folder: string;
let service: ChildProcess | null;
let log: string;
let url: string;
let metricsUrl: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vedere-supervision-"));
  service = null;
  log = "";
});

afterEach(async () => {
  if (service && service.exitCode === null && service.signalCode === null) {
    const ended = new Promise((resolve) => service?.once("exit", resolve));
    service.kill("SIGTERM");
    await ended;
  }
  for (const pid of [...pids("gateway"), ...pids("worker")]) kill(pid, "SIGKILL");
  rmSync(folder, { recursive: true });
});

/** Starts the service; resolves once a worker takes runs. */
async function start(env: Readonly<Record<string, string>> = {}): Promise<void> {
  const metricsPort = await freePort();
  const args = ["start", "--port", "0", "--data", folder];
  const child = spawn(process.execPath, [cli, ...args], {
    env: {
      ...process.env,
      VEDERE_HEARTBEAT_MS: String(heartbeatMs),
      VEDERE_METRICS_PORT: String(metricsPort),
      VEDERE_LEASE_MS: "3000",
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  service = child;
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (log += chunk.toString()));
  await expect.poll(() => output, { timeout: 60_000 }).toContain("Ready.");
  url = /http:\/\/127\.0\.0\.1:\d+/.exec(output)?.[0] ?? "";
  metricsUrl = `http://127.0.0.1:${metricsPort}/metrics`;
}

/** The processes of a kind that have logged so far, the first ones first. */
function pids(kind: "gateway" | "worker"): number[] {
  const all = [...log.matchAll(new RegExp(`"${kind}":(\\d+)`, "g"))].map(([, pid]) => Number(pid));
  return [...new Set(all)];
}

function kill(pid: number, signal: NodeJS.Signals): void {
  if (pid === 0) throw new Error("There is no such process yet."); // 0 would be the group of this one
  try {
    process.kill(pid, signal);
  } catch {} // it has ended
}

// biome-ignore lint/suspicious/noExplicitAny: answers of GraphQL
async function ask(query: string, variables: object = {}): Promise<any> {
  const key = readFileSync(join(folder, "local.key"), "utf8").trim();
  const response = await fetch(`${url}/graphql`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ query, variables }),
  });
  return response.json();
}

const create = `mutation ($input: RunCreateInput!) {
  runCreate(input: $input) { run { id status } userErrors { code } }
}`;
async function submit(fields: object = {}) {
  const source = { base64: (await picture()).toString("base64") };
  const input = { source, tasks: [{ caption: {} }], ...fields };
  return (await ask(create, { input })).data.runCreate;
}
const statusOf = async (id: string) =>
  (await ask("query ($id: ID!) { run(id: $id) { status } }", { id })).data.run.status;

const ready = async () => {
  try {
    const response = await fetch(`${url}/readyz`);
    return { status: response.status, ...((await response.json()) as object) };
  } catch {
    return { status: 0 }; // nobody listens
  }
};
const metric = async (name: string) => {
  const text = await (await fetch(metricsUrl)).text();
  return Number(
    text
      .split("\n")
      .find((line) => line.startsWith(`${name} `))
      ?.split(" ")[1],
  );
};

test("a host name that does not resolve fails its request, or its delivery, and nothing else", async () => {
  await start();
  const nowhere = "https://no-such-host.invalid";
  expect(await submit({ source: { url: `${nowhere}/a.jpg` } })).toMatchObject({
    userErrors: [{ code: "SOURCE_UNREACHABLE" }],
  });
  const secret = `whsec_${Buffer.alloc(24, 7).toString("base64")}`;
  const { run } = await submit({ webhook: { url: `${nowhere}/hook`, secret } });
  const attempts = async () =>
    (
      await ask(
        "query ($runId: ID) { webhookDeliveries(runId: $runId) { edges { node { attempts { error } } } } }",
        { runId: run.id },
      )
    ).data.webhookDeliveries.edges.flatMap(
      (edge: { node: { attempts: object[] } }) => edge.node.attempts,
    );
  await expect
    .poll(attempts, { timeout: 30_000 })
    .toContainEqual({ error: "It could not be reached (ENOTFOUND)." });
  expect(pids("gateway")).toHaveLength(1);
  expect(await metric('vedere_restarts_total{process="gateway",reason="ended"}')).toBe(0);
}, 120_000);

test("a worker that is stopped is seen, killed and started again, and its run ends", async () => {
  await start();
  const [worker = 0] = pids("worker");
  kill(worker, "SIGSTOP");
  const { run } = await submit();
  await expect.poll(ready, { timeout: 30_000, interval: 50 }).toMatchObject({
    status: 503,
    reasons: ["The worker 1 does not answer; it is started again if it stays silent."],
  });
  await expect.poll(() => statusOf(run.id), { timeout: 60_000 }).toBe("SUCCEEDED");
  expect(() => process.kill(worker, 0)).toThrow("ESRCH");
  expect(await ready()).toMatchObject({
    status: 200,
    restarts: [{ process: "worker 1", reason: "silent" }],
  });
  expect(await metric('vedere_restarts_total{process="worker",reason="silent"}')).toBe(1);
  expect(await metric('vedere_processes{process="worker",state="alive"}')).toBe(1);
}, 120_000);

test.each([
  ["SIGSTOP", "silent"],
  ["SIGKILL", "ended"],
] as const)(
  "a gateway that gets %s is started again on its port, and no run is lost",
  async (signal, reason) => {
    await start();
    const { run } = await submit();
    const [gateway = 0] = pids("gateway");
    kill(gateway, signal);
    await expect.poll(() => pids("gateway").length, { timeout: 60_000 }).toBe(2);
    await expect.poll(ready, { timeout: 60_000 }).toMatchObject({
      status: 200,
      restarts: [{ process: "gateway", reason }],
    });
    expect(() => process.kill(gateway, 0)).toThrow("ESRCH");
    await expect.poll(() => statusOf(run.id), { timeout: 60_000 }).toBe("SUCCEEDED");
    expect(await metric(`vedere_restarts_total{process="gateway",reason="${reason}"}`)).toBe(1);
    const [{ id }] = [(await submit()).run];
    await expect.poll(() => statusOf(id), { timeout: 60_000 }).toBe("SUCCEEDED");
  },
  180_000,
);

test("an error that no code of the gateway catches is logged with its stack, and the gateway started again", async () => {
  const trap = join(folder, "trap.mjs");
  // SIGUSR2 stands for any callback of Node that throws.
  writeFileSync(
    trap,
    `if (process.argv[2] === "gateway") process.on("SIGUSR2", function foreignCallback() { throw new Error("thrown in a callback"); });`,
  );
  await start({ NODE_OPTIONS: `--import=${trap}` });
  const [gateway = 0] = pids("gateway");
  kill(gateway, "SIGUSR2");
  await expect.poll(() => log, { timeout: 30_000 }).toContain("an error that nobody caught");
  expect(log).toMatch(/thrown in a callback.*at process\.foreignCallback/);
  await expect.poll(() => pids("gateway").length, { timeout: 60_000 }).toBe(2);
  await expect.poll(ready, { timeout: 60_000 }).toMatchObject({
    status: 200,
    restarts: [{ process: "gateway", reason: "ended", detail: "exit code 1" }],
  });
}, 120_000);

test("a worker whose main thread does not move for longer than it may is started again", async () => {
  const trap = join(folder, "trap.mjs");
  writeFileSync(
    trap,
    `if (process.argv[2] === "worker") process.on("SIGUSR2", () => { for (;;); });`,
  );
  await start({ NODE_OPTIONS: `--import=${trap}`, VEDERE_HANG_MS: "2000" });
  const [worker = 0] = pids("worker");
  kill(worker, "SIGUSR2");
  await expect.poll(ready, { timeout: 60_000 }).toMatchObject({
    status: 200,
    restarts: [{ process: "worker 1", reason: "stuck", detail: "the main thread does not move" }],
  });
  const { run } = await submit();
  await expect.poll(() => statusOf(run.id), { timeout: 60_000 }).toBe("SUCCEEDED");
}, 120_000);

test("a webhook whose attempt ends the gateway counts as tried, and is made again", async () => {
  await start({ VEDERE_FETCH_PRIVATE: "true" });
  const receiver = await startReceiver();
  receiver.answer = () => kill(pids("gateway").at(-1) ?? 0, "SIGKILL");
  const secret = `whsec_${Buffer.alloc(24, 7).toString("base64")}`;
  await submit({ webhook: { url: receiver.url, secret } });
  await expect.poll(() => pids("gateway").length, { timeout: 60_000 }).toBe(2);
  receiver.answer = 204;
  // Another deliverer, whose clock has gone on to where the claim of the dead one is over.
  const config = readConfig({}, { dataDir: folder });
  const connection = await connect(config);
  const clock = { now: () => Date.now() + 61_000 };
  const stop = AbortSignal.timeout(30_000);
  const sender = openSender({ allowPrivate: true, totalMs: 5_000, lookup });
  const log = { info() {}, error() {} };
  await openDeliverer({
    ...{ ports: { ...connection, clock }, schema: buildGatewaySchema(), sender, log },
    ...{ secret: connection.secret, random: Math.random },
  }).drain(stop);
  await sender.close();
  const page = await connection.webhooks.deliveries("ten_local", {
    ...{ endpointId: null, runId: null, status: null, first: 10, after: null },
  });
  await connection.close();
  expect(page.deliveries).toMatchObject([
    {
      status: "SUCCEEDED",
      attempts: [
        { error: "The process that made this attempt ended before the attempt did." },
        { httpStatus: 204, error: null },
      ],
    },
  ]);
  const [first, second] = receiver.received;
  expect(receiver.received).toHaveLength(2);
  expect(second?.headers["webhook-id"]).toBe(first?.headers["webhook-id"]);
}, 120_000);

test("a run that ends each of its workers is given up after three attempts, and the next run is answered", async () => {
  const trap = join(folder, "trap.mjs");
  const poison = await picture();
  writeFileSync(
    trap,
    `import fs from "node:fs/promises";
    import { syncBuiltinESMExports } from "node:module";
    const real = fs.readFile;
    fs.readFile = async (...args) => {
      const read = await real(...args);
      if (process.argv[2] === "worker" && read.length === ${poison.length})
        process.kill(process.pid, "SIGKILL");
      return read;
    };
    syncBuiltinESMExports();`,
  );
  await start({ NODE_OPTIONS: `--import=${trap}`, VEDERE_LEASE_MS: "1000" });
  const { run } = await submit();
  await expect.poll(() => statusOf(run.id), { timeout: 90_000, interval: 200 }).toBe("FAILED");
  const { data } = await ask("query ($id: ID!) { run(id: $id) { tasks { error { code } } } }", {
    id: run.id,
  });
  expect(data.run.tasks).toEqual([{ error: { code: "ATTEMPTS_EXHAUSTED" } }]);
  expect(await metric('vedere_restarts_total{process="worker",reason="ended"}')).toBe(3);
  expect(await metric('vedere_queue_messages{state="dead"}')).toBe(1);
  const other = await sharp(poison).resize(64).jpeg().toBuffer();
  const next = await submit({ source: { base64: other.toString("base64") } });
  await expect.poll(() => statusOf(next.run.id), { timeout: 60_000 }).toBe("SUCCEEDED");
}, 180_000);

test.skipIf(!existsSync("/dev/full"))(
  "a full disk behind stderr, and a stdout that nobody reads, cost the log only",
  async () => {
    const full = openSync("/dev/full", "w"); // every write fails with ENOSPC
    const args = ["start", "--port", String(await freePort()), "--data", folder];
    const child = spawn(process.execPath, [cli, ...args], { stdio: ["ignore", "pipe", full] });
    closeSync(full);
    service = child;
    url = `http://127.0.0.1:${args[2]}`;
    child.stdout?.destroy();
    await expect.poll(ready, { timeout: 60_000 }).toMatchObject({ status: 200, restarts: [] });
    const { run } = await submit();
    await expect.poll(() => statusOf(run.id), { timeout: 60_000 }).toBe("SUCCEEDED");
    expect(await ready()).toMatchObject({ status: 200, restarts: [] });
  },
  120_000,
);

test("a second Ctrl-C ends everything at once, whatever is still at work", async () => {
  const trap = join(folder, "trap.mjs");
  // A worker that will not stop: it hears the first signal, and goes on.
  writeFileSync(
    trap,
    `if (process.argv[2] === "worker") {
      const on = process.on.bind(process);
      process.on = (name, listener) => on(name, name === "SIGTERM" ? () => {} : listener);
    }`,
  );
  await start({ NODE_OPTIONS: `--import=${trap}` });
  const all = [...pids("gateway"), ...pids("worker")];
  const ended = new Promise((resolve) => service?.once("exit", resolve));
  service?.kill("SIGINT");
  await pause(1_000); // the same wish, sent twice within half a second, counts once
  expect(service?.exitCode).toBeNull();
  service?.kill("SIGINT");
  expect(await ended).toBe(1);
  for (const pid of all) await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false);
}, 120_000);

test("processes whose supervisor is killed end by themselves", async () => {
  await start();
  const all = [...pids("gateway"), ...pids("worker")];
  expect(all.length).toBeGreaterThan(1);
  service?.kill("SIGKILL");
  for (const pid of all) await expect.poll(() => isAlive(pid), { timeout: 30_000 }).toBe(false);
}, 120_000);

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
