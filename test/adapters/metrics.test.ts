import { expect, test } from "vitest";
import { metricsText, openDeliveryMetrics, openWorkerMetrics } from "../../adapters/metrics.ts";

test("the rows of batches are counted by size, over all workers", async () => {
  const workers = [openWorkerMetrics(), openWorkerMetrics()];
  for (const [i, rows] of [1, 24, 7].entries()) workers[i % 2]?.batch(rows);
  const text = await metricsText(await Promise.all(workers.map((worker) => worker.values())));
  expect(text).toContain('vedere_batch_rows_bucket{le="1"} 1');
  expect(text).toContain('vedere_batch_rows_bucket{le="8"} 2');
  expect(text).toContain('vedere_batch_rows_bucket{le="24"} 3');
  expect(text).toContain("vedere_batch_rows_sum 32");
});

test("deliveries are counted and timed by how they ended", async () => {
  const deliveries = openDeliveryMetrics();
  deliveries.attempt({ outcome: "succeeded", ms: 40 });
  deliveries.attempt({ outcome: "failed", ms: 15_000 });
  deliveries.attempt({ outcome: "failed", ms: 3_000 });
  const text = await metricsText([await deliveries.values()]);
  expect(text).toContain('vedere_deliveries_total{outcome="succeeded"} 1');
  expect(text).toContain('vedere_deliveries_total{outcome="failed"} 2');
  expect(text).toContain('vedere_delivery_seconds_sum{outcome="failed"} 18');
  expect(text).toContain('vedere_delivery_seconds_bucket{le="0.05",outcome="succeeded"} 1');
});
