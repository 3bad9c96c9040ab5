import { openBell } from "../../adapters/bell.ts";
import { openSqlite } from "../../adapters/sqlite.ts";
import { sqliteRuns } from "../../adapters/sqlite-runs.ts";
import { answered } from "../core/answered.ts";
import { newRun } from "../core/new-run.ts";

// Ends runs in the store of argv[1], one after another, until it is killed; prints a dot for each.
const [file = "", round = ""] = process.argv.slice(1);
const runs = sqliteRuns(openSqlite(file), openBell(null));
for (let i = 0; ; i += 1) {
  const run = newRun({ id: `run_${round}_${i}`, tenantId: `ten_${i % 2}`, createdAt: i });
  await runs.create(run, null);
  await runs.replace({
    ...run,
    version: 2,
    status: "SUCCEEDED",
    finishedAt: Date.UTC(2026, 0, 1) + i * 977_777,
    tasks: run.tasks.map((task) => ({ ...task, outcome: answered(i) })),
  });
  process.stdout.write(".");
}
