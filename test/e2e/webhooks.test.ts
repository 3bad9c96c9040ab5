import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, expect, test } from "vitest";
import { picture } from "../picture.ts";
import { startReceiver } from "../webhook-receiver.ts";
import { type Service, startService } from "./service.ts";

let service: Service;
beforeAll(async () => {
  service = await startService({ workers: 1, env: { VEDERE_FETCH_PRIVATE: "true" } });
});
afterAll(() => service.stop());

interface Endpoint {
  webhookEndpointCreate: { endpoint: { id: string }; secret: string };
}
interface Created {
  runCreate: { run: { id: string; status: string } };
}
interface Deliveries {
  webhookDeliveries: {
    edges: { node: { runId: string; status: string; attempts: { httpStatus: number }[] } }[];
  };
}

test("from an image to a signed webhook, on the real service", async () => {
  const receiver = await startReceiver();
  const { webhookEndpointCreate } = await service.ask<Endpoint>(
    "mutation ($url: URL!) { webhookEndpointCreate(input: { url: $url }) { endpoint { id } secret } }",
    { url: receiver.url },
  );
  const { runCreate } = await service.ask<Created>(
    "mutation ($input: RunCreateInput!) { runCreate(input: $input) { run { id status } } }",
    {
      input: {
        source: { base64: (await picture()).toString("base64") },
        tasks: [{ caption: {} }],
        metadata: { order: 7 },
      },
    },
  );
  await expect.poll(() => receiver.received.length, { timeout: 30_000 }).toBe(1);
  const [{ headers, body } = { headers: {}, body: "" }] = receiver.received;
  const event = new Webhook(webhookEndpointCreate.secret).verify(
    body,
    headers as Record<string, string>,
  );
  expect(event).toMatchObject({
    type: "run.succeeded",
    data: { run: { id: runCreate.run.id, status: "SUCCEEDED", metadata: { order: 7 } } },
  });
  const deliveries =
    "{ webhookDeliveries { edges { node { runId status attempts { httpStatus } } } } }";
  const seen = async () =>
    (await service.ask<Deliveries>(deliveries)).webhookDeliveries.edges.map(({ node }) => node);
  await expect
    .poll(seen)
    .toEqual([{ runId: runCreate.run.id, status: "SUCCEEDED", attempts: [{ httpStatus: 204 }] }]);
}, 60_000);
