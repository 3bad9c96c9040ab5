import { execFileSync } from "node:child_process";
import { createServer } from "node:http";
import { expect, test, vi } from "vitest";
import { openTracing } from "../../adapters/tracing.ts";
import { AppError } from "../../core/errors.ts";
import { noTracing } from "../../core/tracing.ts";
import { startCollector } from "./collector.ts";

const caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const quiet = () => {};

test("a trace goes on from process to process by its traceparent", async () => {
  const collector = await startCollector();
  const gateway = await openTracing({
    endpoint: collector.endpoint,
    serviceName: "gateway",
    warn: quiet,
  });
  const worker = await openTracing({
    endpoint: collector.endpoint,
    serviceName: "worker",
    warn: quiet,
  });
  const stored = await gateway.span(
    "POST /graphql",
    { kind: "server", parent: caller, attributes: { id: "req_1" } },
    (request) =>
      gateway.span(
        "run enqueue",
        { kind: "producer", parent: request.traceparent },
        async (span) => span.traceparent,
      ),
  );
  await worker.span("run attempt", { kind: "consumer", parent: stored }, async (attempt) => {
    attempt.set({ tasks: 2, status: "SUCCEEDED", cached: false });
    await worker.span("vision", { parent: attempt.traceparent }, async () => {});
  });
  await Promise.all([gateway.close(), worker.close()]);

  const named = new Map(collector.spans.map((span) => [span.name, span]));
  const parentOf = (name: string) => named.get(name)?.parentSpanId;
  expect([...named.keys()].sort()).toEqual([
    "POST /graphql",
    "run attempt",
    "run enqueue",
    "vision",
  ]);
  expect(new Set(collector.spans.map(({ traceId }) => traceId))).toEqual(
    new Set(["0af7651916cd43dd8448eb211c80319c"]),
  );
  expect(parentOf("POST /graphql")).toBe("b7ad6b7169203331");
  expect(parentOf("run enqueue")).toBe(named.get("POST /graphql")?.spanId);
  expect(parentOf("run attempt")).toBe(named.get("run enqueue")?.spanId);
  expect(parentOf("vision")).toBe(named.get("run attempt")?.spanId);
  expect(stored).toBe(`00-0af7651916cd43dd8448eb211c80319c-${named.get("run enqueue")?.spanId}-01`);
  expect(
    collector.spans.map(({ name, kind, service }) => `${service} ${name} ${kind}`).sort(),
  ).toEqual([
    "gateway POST /graphql 2",
    "gateway run enqueue 4",
    "worker run attempt 5",
    "worker vision 1",
  ]);
  expect(named.get("POST /graphql")?.attributes).toEqual({ id: "req_1" });
  expect(named.get("run attempt")?.attributes).toEqual({
    tasks: 2,
    status: "SUCCEEDED",
    cached: false,
  });
});

test.each([
  ["nothing", null],
  ["an empty text", ""],
  ["a trace of zeros", `00-${"0".repeat(32)}-b7ad6b7169203331-01`],
  ["a span of zeros", `00-0af7651916cd43dd8448eb211c80319c-${"0".repeat(16)}-01`],
  ["version ff", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
  ["capital letters", "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01"],
  ["more than version 00 has", `${caller}-what`],
  ["another text", "caller"],
])("a trace begins anew where the caller sends %s", async (_, parent) => {
  const collector = await startCollector();
  const tracing = await openTracing({
    endpoint: collector.endpoint,
    serviceName: "gateway",
    warn: quiet,
  });
  await tracing.span("work", { parent }, async () => {});
  await tracing.close();
  expect(collector.spans).toMatchObject([{ name: "work", parentSpanId: null }]);
  expect(collector.spans[0]?.traceId).not.toBe("0af7651916cd43dd8448eb211c80319c");
});

test("a later version of traceparent is read as far as it is known", async () => {
  const collector = await startCollector();
  const tracing = await openTracing({
    endpoint: collector.endpoint,
    serviceName: "gateway",
    warn: quiet,
  });
  await tracing.span("work", { parent: `01${caller.slice(2)}-more` }, async () => {});
  await tracing.close();
  expect(collector.spans).toMatchObject([
    { traceId: "0af7651916cd43dd8448eb211c80319c", parentSpanId: "b7ad6b7169203331" },
  ]);
});

test("a caller who records nothing has nothing recorded, and its trace goes on", async () => {
  const collector = await startCollector();
  const tracing = await openTracing({
    endpoint: collector.endpoint,
    serviceName: "gateway",
    warn: quiet,
  });
  const inside = await tracing.span(
    "work",
    { parent: caller.replace(/1$/, "0") },
    async ({ traceparent }) => traceparent,
  );
  await tracing.close();
  expect(inside).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-[\da-f]{16}-00$/);
  expect(collector.requests).toEqual([]);
});

test("an error marks its span by its code alone, and is thrown on unchanged", async () => {
  const collector = await startCollector();
  const tracing = await openTracing({
    endpoint: collector.endpoint,
    serviceName: "worker",
    warn: quiet,
  });
  const errors = [new AppError("SOURCE_CORRUPT", "the image says SECRET"), new TypeError("SECRET")];
  for (const error of errors) {
    const failing = tracing.span("work", {}, async () => {
      throw error;
    });
    await expect(failing).rejects.toBe(error);
  }
  await tracing.close();
  expect(collector.spans).toMatchObject([
    { status: 2, attributes: { "error.type": "SOURCE_CORRUPT" } },
    { status: 2, attributes: { "error.type": "TypeError" } },
  ]);
  expect(collector.requests.map(({ text }) => text).join()).not.toContain("SECRET");
});

test("what is over already keeps its times", async () => {
  const collector = await startCollector();
  const tracing = await openTracing({
    endpoint: collector.endpoint,
    serviceName: "worker",
    warn: quiet,
  });
  const at = Date.UTC(2026, 0, 1);
  await tracing.span("queue wait", { at, until: at + 1_500 }, async () => {});
  await tracing.close();
  expect(collector.spans).toMatchObject([{ startMs: at, endMs: at + 1_500 }]);
});

test("the collector gets the headers that it asks for", async () => {
  const collector = await startCollector();
  const tracing = await openTracing({
    ...{ endpoint: collector.endpoint, serviceName: "worker", warn: quiet },
    headers: { authorization: "Bearer token" },
  });
  await tracing.span("work", {}, async () => {});
  await tracing.close();
  expect(collector.requests).toMatchObject([
    { url: "/v1/traces", headers: { authorization: "Bearer token" } },
  ]);
});

test("an outage of the collector is told once, and the work goes on", async () => {
  const collector = await startCollector();
  vi.stubEnv("OTEL_BSP_SCHEDULE_DELAY", "1");
  const told: string[] = [];
  const warn = (message: string, fields: object) =>
    told.push(`${message} ${JSON.stringify(fields)}`);
  const tracing = await openTracing({ endpoint: collector.endpoint, serviceName: "worker", warn });
  vi.unstubAllEnvs();
  const work = () => tracing.span("work", {}, async () => "done");
  const answered = async (status: number) => {
    const before = collector.requests.length;
    collector.answer(status);
    await expect(work()).resolves.toBe("done");
    await expect.poll(() => collector.requests.length).toBe(before + 1);
  };
  for (const status of [400, 400, 500]) await answered(status);
  await expect.poll(() => told).toHaveLength(1);
  await answered(200);
  await answered(400);
  await expect.poll(() => told).toHaveLength(2);
  await tracing.close();
  expect(told[0]).toMatch(
    /^the collector of traces does not take spans, which are lost .*127\.0\.0\.1:\d+.*Bad Request/,
  );
  expect(collector.spans).toHaveLength(1);
});

test("a collector that never answers holds nobody up, and not the end for more than two seconds", async () => {
  const collector = await startCollector();
  collector.answer(null);
  const tracing = await openTracing({
    endpoint: collector.endpoint,
    serviceName: "worker",
    warn: quiet,
  });
  await tracing.span("work", {}, async () => {});
  const from = performance.now();
  await tracing.close();
  const ms = performance.now() - from;
  expect(collector.requests).toHaveLength(1);
  expect(ms).toBeGreaterThan(1_500); // it was given time
  expect(ms).toBeLessThan(3_500);
});

test("a collector that is known to be down is not waited for at the end", async () => {
  const port = await closedPort();
  vi.stubEnv("OTEL_BSP_SCHEDULE_DELAY", "1");
  const warn = vi.fn();
  const tracing = await openTracing({
    endpoint: `http://127.0.0.1:${port}`,
    serviceName: "worker",
    warn,
  });
  vi.unstubAllEnvs();
  await tracing.span("work", {}, async () => {});
  await expect.poll(() => warn.mock.calls.length, { timeout: 5_000 }).toBe(1);
  await tracing.span("work", {}, async () => {});
  const from = performance.now();
  await tracing.close();
  expect(performance.now() - from).toBeLessThan(500);
});

test("without an endpoint, the work is all there is", async () => {
  const tracing = await openTracing({ endpoint: null, serviceName: "worker", warn: quiet });
  expect(tracing).toBe(noTracing);
  const seen = await tracing.span("work", { parent: caller }, async (span) => {
    span.set({ status: "SUCCEEDED" });
    return span.traceparent;
  });
  expect(seen).toBeNull();
  await tracing.close();
});

test("without an endpoint, nothing of OpenTelemetry is loaded", () => {
  const script = `
    const { openTracing } = await import("./dist/adapters/tracing.js");
    await openTracing({ endpoint: process.argv[1] ?? null, serviceName: "worker", warn() {} });
    const { createRequire } = await import("node:module");
    const loaded = Object.keys(createRequire(import.meta.url).cache).filter((file) => file.includes("@opentelemetry"));
    process.stdout.write(String(loaded.length > 0));`;
  const loads = (...args: string[]) =>
    execFileSync(process.execPath, ["--input-type=module", "-e", script, ...args], {
      encoding: "utf8",
    });
  expect(loads()).toBe("false");
  expect(loads("http://127.0.0.1:4318")).toBe("true");
});

function closedPort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
