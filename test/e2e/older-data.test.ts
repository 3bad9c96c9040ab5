import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startService } from "./service.ts";

const old = join(import.meta.dirname, "../data-0.1.0");

interface Run {
  id: string;
  status: string;
  metadata: { order: string } | null;
  image: { id: string };
  tasks: { name: string; result: { text?: string; objects?: object[] } | null }[];
}

const runFields = `id status metadata image { id } tasks { name result {
  ... on CaptionResult { text } ... on DetectionResult { objects { label } } } }`;

test("a data folder of 0.1.0 opens, all is there, its queued run is answered and new ones are taken", async () => {
  const service = await startService({ workers: 1, from: old });
  try {
    expect(service.key).toBe(readFileSync(join(old, "local.key"), "utf8").trim());
    const list = async () =>
      (
        await service.ask<{ runs: { edges: { node: Run }[] } }>(
          `{ runs { edges { node { ${runFields} } } } }`,
        )
      ).runs.edges.map(({ node }) => node);
    await expect
      .poll(async () => (await list()).map(({ status }) => status), { timeout: 20_000 })
      .toEqual(["SUCCEEDED", "SUCCEEDED", "SUCCEEDED"]);
    const [queued, second, first] = await list();
    expect(queued?.tasks).toMatchObject([
      { name: "CAPTION", result: { text: expect.any(String) } },
    ]);
    expect(second).toMatchObject({ metadata: { order: "second" } });
    expect(first).toMatchObject({
      metadata: { order: "first" },
      tasks: [
        { name: "CAPTION", result: { text: expect.stringContaining(" ") } },
        { name: "DETECT_OBJECTS", result: { objects: expect.any(Array) } },
      ],
    });

    const { webhookEndpoints, webhookDeliveries, models, usage, tenants } = await service.ask<{
      webhookEndpoints: object[];
      webhookDeliveries: { edges: { node: { status: string } }[] };
      models: { id: string; aliases: string[] }[];
      usage: { runs: number };
      tenants: { edges: { node: { name: string } }[] };
    }>(things);
    expect(webhookEndpoints).toHaveLength(1);
    const succeeded = webhookDeliveries.edges.filter(({ node }) => node.status === "SUCCEEDED");
    expect(succeeded).toHaveLength(2);
    expect(models.flatMap(({ aliases }) => aliases)).toContain("best");
    expect(usage.runs).toBe(3);
    expect(tenants.edges.map(({ node }) => node.name)).toContain("Grace");

    const create = `mutation ($input: RunCreateInput!) { runCreate(input: $input) {
      run { ${runFields} } userErrors { code message } } }`;
    const { runCreate } = await service.ask<{ runCreate: { run: Run } }>(create, {
      input: { source: { imageId: first?.image.id }, tasks: [{ caption: {} }], waitMs: 20_000 },
    });
    expect(runCreate).toMatchObject({ run: { status: "SUCCEEDED" }, userErrors: [] });
    const base64 = readFileSync(
      join(import.meta.dirname, "../../models/samples/park.jpg"),
      "base64",
    );
    const replay = await service.ask<{ runCreate: { userErrors: { code: string }[] } }>(create, {
      input: { source: { base64 }, tasks: [{ caption: {} }], idempotencyKey: "first" },
    });
    expect(replay.runCreate.userErrors).toMatchObject([{ code: "IDEMPOTENCY_MISMATCH" }]);
  } finally {
    await service.stop();
  }
}, 60_000);

const things = `{
  webhookEndpoints { id }
  webhookDeliveries { edges { node { status } } }
  models { id aliases }
  usage(from: "2020-01-01T00:00:00Z", to: "2100-01-01T00:00:00Z") { runs }
  tenants { edges { node { id name } } }
}`;
