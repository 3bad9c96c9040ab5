import { days } from "./days.ts";
import { simulate } from "./simulate.ts";

// Simulates the days of days.ts and prints them as the table of docs/scale.md.
const row = (cells: readonly (string | number)[]) => `| ${cells.join(" | ")} |`;
const head = [
  "day",
  "fleet",
  "runs",
  "p50, s",
  "p95, s",
  "p99, s",
  "longest, s",
  "workers, most",
  "worker hours",
  "idle hours",
  "USD",
];
console.log(row(head));
console.log(row(head.map(() => "---")));
for (const { day, fleet, trace, setup } of days) {
  const { runs, p50, p95, p99, max, workersMax, workerHours, idleHours, usd, left } = simulate(
    trace,
    setup,
  );
  const latency = [p50, p95, p99, left > 0 ? `${max} (${left} left)` : max];
  console.log(
    row([
      day,
      fleet,
      runs,
      ...latency,
      workersMax,
      workerHours.toFixed(1),
      idleHours.toFixed(1),
      usd.toFixed(0),
    ]),
  );
}
