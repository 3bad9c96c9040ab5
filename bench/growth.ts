import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { type FilledStore, fillStores } from "./growth/filled-store.ts";
import type { Operation } from "./growth/operation.ts";
import { operations } from "./growth/operations.ts";

// Whether anything that the service does with its store grows with the number of finished runs:
// every root field of the schema, at three sizes in turns. Exits 1 if one takes more than twice as
// long at the largest as at the smallest.
const { values } = parseArgs({
  options: {
    repetitions: { type: "string", default: "41" },
    sizes: { type: "string", default: "1000,10000,100000" },
    only: { type: "string", default: "" },
  },
});
const repetitions = Number(values.repetitions);
const warmUps = 5;
const ratioMax = 2;
const sizes = values.sizes.split(",").map(Number);
const cpu = cpus();

const started = performance.now();
const stores = await fillStores(sizes);
const filled = performance.now();
const measured = operations.filter(({ name }) => name.startsWith(values.only));
const times = new Map(measured.map(({ name }) => [name, stores.map((): number[] => [])]));
try {
  // One round measures everything once at each size, so that what else the machine does hits all
  // sizes alike.
  for (let round = -warmUps; round < repetitions; round += 1)
    for (const operation of measured)
      for (const [place, store] of inTurns(round)) {
        const ms = await timed(operation, store);
        if (round >= 0) times.get(operation.name)?.[place]?.push(ms);
      }
} finally {
  for (const store of stores) await store.close();
}
report();

/** Each round begins with another size. */
function inTurns(round: number): [number, FilledStore][] {
  const first = Math.abs(round) % stores.length;
  const places = [...stores.entries()];
  return [...places.slice(first), ...places.slice(0, first)];
}

async function timed(operation: Operation, store: FilledStore): Promise<number> {
  const work = await operation.prepare(store);
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

function report(): void {
  console.log(
    `${cpu.length} × ${cpu[0]?.model}, Node ${process.version}; medians of ${repetitions}, ms; filled in ${seconds(filled - started)}, measured in ${seconds(performance.now() - filled)}\n`,
  );
  const names = sizes.map((size) => `${size.toLocaleString("en-US")} runs`);
  console.log(
    `| operation | ${names.join(" | ")} | ratio |\n|---|${"--:|".repeat(sizes.length + 1)}`,
  );
  let grown = 0;
  for (const [name, series] of times) {
    const medians = series.map(median);
    const ratio = (medians.at(-1) ?? Number.NaN) / (medians[0] ?? Number.NaN);
    if (!(ratio <= ratioMax)) grown += 1;
    const mark = ratio <= ratioMax ? ratio.toFixed(2) : `**${ratio.toFixed(2)}**`;
    console.log(`| ${name} | ${medians.map((ms) => ms.toFixed(2)).join(" | ")} | ${mark} |`);
  }
  console.log(`\nAbove ${ratioMax}: ${grown} of ${times.size}.`);
  if (grown > 0) process.exitCode = 1;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(0)} s`;
}
