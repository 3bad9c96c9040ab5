import { cpus, loadavg } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { openBell } from "../adapters/bell.ts";
import { openData } from "../adapters/embedded.ts";
import type { Sqlite } from "../adapters/sqlite.ts";
import { sqliteRetention } from "../adapters/sqlite-retention.ts";
import { retain } from "../core/retain.ts";
import { fillStores } from "./growth/filled-store.ts";

// How long a sweep of retention holds the store at most, over so many runs with their charges,
// deliveries and images. Exits 1 if a transaction took more than 50 ms.
const { values } = parseArgs({ options: { runs: { type: "string", default: "20000" } } });
const holdMsMax = 50;
const stepPauseMs = 20; // as in cli/retain-until.ts

/** Notes how long each transaction holds the write lock, its commit included. */
function timed(sqlite: Sqlite, holds: number[]): Sqlite {
  let isOpen = false;
  const hold = <T>(work: () => T): T => {
    if (isOpen) return work();
    isOpen = true;
    const begun = performance.now();
    try {
      return work();
    } finally {
      holds.push(performance.now() - begun);
      isOpen = false;
    }
  };
  return {
    ...sqlite,
    run: (sql, ...given) => hold(() => sqlite.run(sql, ...given)),
    write: (work) => hold(() => sqlite.write(work)),
  };
}

const [store] = await fillStores([Number(values.runs)]);
if (!store) throw new Error("One store was filled.");
const { dataDir, ports } = store;
const [sqlite, bell] = [openData(dataDir), openBell(null)];
// Else the first transactions pay for what filling left in the write-ahead log.
sqlite.first("PRAGMA wal_checkpoint(TRUNCATE)");
const holds: number[] = [];
const retention = sqliteRetention({ sqlite: timed(sqlite, holds), bell }, ports.clock, dataDir);
const begun = performance.now();
const erased = await retain(
  { ...ports, retention },
  { days: 1, pause: () => pause(stepPauseMs, true) },
);
const seconds = (performance.now() - begun) / 1_000;
sqlite.close();
bell.close();
await store.close();

holds.sort((a, b) => a - b);
const at = (share: number) => (holds[Math.ceil(holds.length * share) - 1] ?? 0).toFixed(1);
const over = holds.filter((ms) => ms > holdMsMax).length;
const cpu = cpus();
console.log(
  `${cpu.length} × ${cpu[0]?.model}, Node ${process.version}, load ${loadavg()[0]?.toFixed(1)}`,
);
console.log(JSON.stringify(erased));
console.log(
  `${seconds.toFixed(1)} s, ${holds.length} transactions; ms held: median ${at(0.5)}, p99 ${at(0.99)}, longest ${at(1)}; over ${holdMsMax} ms: ${over}`,
);
if (over > 0) process.exitCode = 1;
