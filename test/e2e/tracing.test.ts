import { expect, onTestFinished, test } from "vitest";
import { startCollector } from "../adapters/collector.ts";
import { picture } from "../picture.ts";
import { startReceiver } from "../webhook-receiver.ts";
import { startService } from "./service.ts";

const caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

test("one trace leads from the caller through gateway, queue and worker to the webhook", async () => {
  const collector = await startCollector();
  const receiver = await startReceiver();
  const service = await startService({
    workers: 1,
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
      OTEL_BSP_SCHEDULE_DELAY: "50",
      VEDERE_FETCH_PRIVATE: "true",
    },
  });
  onTestFinished(() => service.stop());
  const webhook = { url: receiver.url, secret: `whsec_${Buffer.alloc(32, 7).toString("base64")}` };
  const input = {
    source: { base64: (await picture()).toString("base64") },
    tasks: [{ ask: { question: "SENTINEL" } }],
    metadata: "SENTINEL",
    webhook,
  };
  const response = await fetch(`${service.url}/graphql`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${service.key}`,
      "content-type": "application/json",
      traceparent: caller,
    },
    body: JSON.stringify({
      query: "mutation ($input: RunCreateInput!) { runCreate(input: $input) { run { id } } }",
      variables: { input },
    }),
  });
  const { data } = (await response.json()) as { data: { runCreate: { run: { id: string } } } };
  const spans = () =>
    collector.spans.filter(({ traceId }) => traceId === "0af7651916cd43dd8448eb211c80319c");
  const names = [
    "POST /graphql",
    "answer",
    "queue wait",
    "run attempt",
    "run enqueue",
    "vision",
    "webhook delivery",
  ];
  await expect
    .poll(
      () =>
        spans()
          .map(({ name }) => name)
          .sort(),
      { timeout: 30_000 },
    )
    .toEqual(names);

  const of = (name: string) => spans().find((span) => span.name === name);
  expect(of("POST /graphql")?.parentSpanId).toBe("b7ad6b7169203331");
  expect(of("run enqueue")?.parentSpanId).toBe(of("POST /graphql")?.spanId);
  for (const name of ["queue wait", "run attempt", "webhook delivery"])
    expect(of(name)?.parentSpanId, name).toBe(of("run enqueue")?.spanId);
  for (const name of ["vision", "answer"])
    expect(of(name)?.parentSpanId, name).toBe(of("run attempt")?.spanId);
  expect(
    spans()
      .map(({ name, service: from }) => `${from}: ${name}`)
      .sort(),
  ).toEqual([
    "vedere-gateway: POST /graphql",
    "vedere-gateway: run enqueue",
    "vedere-gateway: webhook delivery",
    "vedere-worker: answer",
    "vedere-worker: queue wait",
    "vedere-worker: run attempt",
    "vedere-worker: vision",
  ]);
  expect(of("run attempt")?.attributes).toMatchObject({
    "vedere.run_id": data.runCreate.run.id,
    "vedere.status": "SUCCEEDED",
  });
  expect(of("webhook delivery")?.attributes).toMatchObject({
    "vedere.delivered": true,
    "http.response.status_code": 204,
  });
  const sent = collector.requests.map(({ text }) => text).join();
  for (const secret of ["SENTINEL", service.key, webhook.secret])
    expect(sent).not.toContain(secret);
}, 60_000);
