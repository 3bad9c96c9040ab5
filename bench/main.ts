import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { packageRoot } from "../adapters/package-root.ts";
import { benchService } from "./service.ts";
import { benchStages } from "./stages.ts";
import { table } from "./table.ts";

// Prints what bench/results.md keeps: the cost of each stage in this process, then the service end
// to end with 1 and 2 workers.
const image = readFileSync(join(packageRoot(), "models/samples", "harbour.jpg"));
const cpu = cpus();
console.log(
  `${cpu.length} × ${cpu[0]?.model}, Node ${process.version}, model florence-2-nano, image harbour.jpg, tasks caption + detectObjects + readText\n`,
);
console.log(table("stage, ms", await benchStages(image, 40)));
for (const workers of [1, 2]) {
  const service = await benchService(image, { workers, alone: 40, together: 120 });
  console.log(
    `\n${workers} worker${workers > 1 ? "s" : ""}: ${service.runsPerSecond.toFixed(1)} runs/s with 8 clients`,
  );
  console.log(table("one client, ms", service.milliseconds));
}
