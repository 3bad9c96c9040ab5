import { afterAll, beforeAll, expect, test } from "vitest";
import { buildGatewaySchema } from "../../api/schema.ts";
import { type FilledStore, fillStores } from "../../bench/growth/filled-store.ts";
import { operations } from "../../bench/growth/operations.ts";

const runs = 60;
let store: FilledStore;
beforeAll(async () => {
  const [filled] = await fillStores([runs]);
  if (!filled) throw new Error("One store was filled.");
  store = filled;
});
afterAll(() => store.close());

test("every query, mutation and subscription is measured by bench/growth.ts", () => {
  const schema = buildGatewaySchema();
  const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];
  const fields = roots.flatMap((root) => Object.keys(root?.getFields() ?? {}));
  const measured = new Set(operations.map(({ name }) => name.split(":")[0]));
  expect(fields.length).toBeGreaterThan(30);
  // One that is missing: add it in bench/growth/queries.ts or mutations.ts, run the bench, note its
  // row in bench/results.md.
  expect(fields.filter((field) => !measured.has(field))).toEqual([]);
  expect(new Set(operations.map(({ name }) => name)).size).toBe(operations.length);
});

test.each(operations.map(({ name, prepare }) => ({ name, prepare })))(
  "what is measured is answered: $name",
  async ({ prepare }) => {
    for (let i = 0; i < 2; i += 1) await (await prepare(store))();
  },
);

test("the copied runs are as the service would have left them: sums, images and deliveries", async () => {
  const { ports, seed } = store;
  const { id, imageId, deliveryId } = store.next();
  const run = await ports.runs.get(seed.tenantId, id);
  expect(run).toMatchObject({ id, tenantId: seed.tenantId, status: "SUCCEEDED" });
  expect(run?.image.id).toBe(imageId);
  expect(await ports.images.read(seed.tenantId, imageId)).toEqual(Buffer.from(seed.image));
  expect(await ports.webhooks.getDelivery(seed.tenantId, deliveryId)).toMatchObject({
    status: "SUCCEEDED",
    event: { subject: { runId: id } },
  });
  const [other = ""] = seed.otherTenants;
  const usage = await ports.runs.usage(other, { from: 0, to: 8_640_000_000_000_000 });
  expect(usage.runs).toBe(6); // n = 6, 16, … 56 of 59 copies
  expect(usage.tasks).toBe(3 * usage.runs);
});
