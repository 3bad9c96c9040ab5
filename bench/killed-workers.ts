import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { packageRoot } from "../adapters/package-root.ts";
import { openSqlite } from "../adapters/sqlite.ts";
import { openService } from "./open-service.ts";

// Whether workers that are killed lose a run or do one twice: two of them drain a queue, and every
// ten seconds one dies by SIGKILL. Exits 1 if so.
const { values } = parseArgs({ options: { runs: { type: "string", default: "10000" } } });
const runs = Number(values.runs);
const killEveryMs = 10_000;
const perRequest = 100;
const image = readFileSync(join(packageRoot(), "models/samples", "harbour.jpg")).toString("base64");

const settings = {
  VEDERE_LOG_LEVEL: "warn",
  VEDERE_LEASE_MS: "5000",
  VEDERE_UNFINISHED_RUNS: "1000000",
  VEDERE_UNITS_PER_SECOND: "1000000",
};
const service = await openService(0, settings);
const sqlite = openSqlite(join(service.dataDir, "vedere.db"));
const workers = [startWorker(), startWorker()];
let kills = 0;
let failed = true;
try {
  const imageId = await submit([{ base64: image }]);
  for (let sent = 1; sent < runs; sent += perRequest)
    await submit(Array.from({ length: Math.min(perRequest, runs - sent) }, () => ({ imageId })));
  const started = performance.now();
  for (
    let nextKill = started + killEveryMs;
    count("status IN ('QUEUED', 'PROCESSING')") > 0;
    await pause(250)
  ) {
    if (performance.now() < nextKill) continue;
    nextKill += killEveryMs;
    const place = kills % workers.length;
    workers[place]?.kill("SIGKILL");
    workers[place] = startWorker();
    kills += 1;
  }
  const seconds = (performance.now() - started) / 1_000;
  failed = report(seconds);
} finally {
  for (const worker of workers) worker.kill("SIGKILL");
  sqlite.close();
  await service.close();
}
if (failed) process.exitCode = 1;

function report(seconds: number): boolean {
  const facts = {
    "not SUCCEEDED": count("status <> 'SUCCEEDED'"),
    missing: runs - count("TRUE"),
    "without a charge": count("NOT EXISTS (SELECT 1 FROM charges WHERE charges.run_id = runs.id)"),
    "charged more than once": count(
      "(SELECT count(*) FROM charges WHERE charges.run_id = runs.id) > 1",
    ),
    // A run's versions: its creation, each claim, its one end.
    "with another history than claims and one end": count(
      "version <> json_extract(data, '$.attempt') + 2",
    ),
  };
  const again = count("json_extract(data, '$.attempt') > 1");
  console.log(
    `${runs} runs, 2 workers, ${kills} kills, ${seconds.toFixed(0)} s (${(runs / seconds).toFixed(1)} runs/s); begun again: ${again}\n`,
  );
  console.log(
    `| runs | count |\n|---|---|\n${Object.entries(facts)
      .map(([name, n]) => `| ${name} | ${n} |`)
      .join("\n")}`,
  );
  return Object.values(facts).some((n) => n !== 0);
}

function count(condition: string): number {
  return Number(sqlite.first(`SELECT count(*) AS n FROM runs WHERE ${condition}`)?.n);
}

function startWorker(): ChildProcess {
  const program = join(packageRoot(), "dist/cli/main.js");
  return spawn(process.execPath, [program, "worker", "--data", service.dataDir], {
    stdio: ["ignore", "ignore", "inherit"],
    env: settings,
  });
}

/** Returns the image of the first. */
async function submit(sources: readonly object[]): Promise<string> {
  const items = sources.map((source) => ({
    source,
    tasks: [{ caption: { options: { maxTokens: 4 } } }],
  }));
  const response = await fetch(`${service.url}/graphql`, {
    method: "POST",
    headers: { authorization: `Bearer ${service.key}`, "content-type": "application/json" },
    body: JSON.stringify({
      query:
        "mutation ($input: RunsCreateInput!) { runsCreate(input: $input) { items { run { image { id } } } } }",
      variables: { input: { items } },
    }),
  });
  const body = (await response.json()) as {
    data?: { runsCreate: { items: { run: { image: { id: string } } | null }[] } };
  };
  const created = body.data?.runsCreate.items.flatMap(({ run }) => run ?? []) ?? [];
  const [first] = created;
  if (!first || created.length < sources.length)
    throw new Error(JSON.stringify(body).slice(0, 1_000));
  return first.image.id;
}
