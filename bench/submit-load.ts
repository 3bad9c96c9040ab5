import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import { packageRoot } from "../adapters/package-root.ts";
import { openSqlite } from "../adapters/sqlite.ts";
import { openService } from "./open-service.ts";

// How many runs a second the gateway takes, and how long each takes it: runCreate on a stored
// image, without waiting, no worker.
const seconds = 10;
const connectionCounts = [10, 50];
const image = readFileSync(join(packageRoot(), "models/samples", "harbour.jpg")).toString("base64");
const query =
  "mutation ($input: RunCreateInput!) { runCreate(input: $input) { run { id image { id } } userErrors { message } } }";

/** What `autocannon --json` prints, as far as it is read here. */
interface Load {
  readonly "2xx": number;
  readonly non2xx: number;
  readonly errors: number;
  readonly timeouts: number;
  readonly duration: number;
  readonly latency: { readonly p50: number; readonly p99: number; readonly max: number };
}

// A tenant may have 10,000 unfinished runs and a rate: neither is what is measured here.
const service = await openService(0, { VEDERE_UNFINISHED_RUNS: "1000000" });
const sqlite = openSqlite(join(service.dataDir, "vedere.db"));
try {
  const imageId = (await runCreate({ base64: image })).image.id;
  console.log(
    "| connections | runs/s | p50, ms | p99, ms | max, ms | not 2xx | stored |\n|---|---|---|---|---|---|---|",
  );
  for (const connections of connectionCounts) {
    const before = stored();
    const load = await cannonade(
      connections,
      JSON.stringify({ query, variables: { input: input({ imageId }) } }),
    );
    const failed = load.non2xx + load.errors + load.timeouts;
    const { p50, p99, max } = load.latency;
    console.log(
      `| ${connections} | ${(load["2xx"] / load.duration).toFixed(0)} | ${p50} | ${p99} | ${max} | ${failed} | ${stored() - before} of ${load["2xx"]} |`,
    );
  }
} finally {
  sqlite.close();
  await service.close();
}

/** An answer with status 200 may still be a refusal. */
function stored(): number {
  return Number(sqlite.first("SELECT count(*) AS n FROM runs")?.n);
}

function input(source: object) {
  return { source, tasks: [{ caption: {} }] };
}

async function runCreate(source: object): Promise<{ image: { id: string } }> {
  const response = await fetch(`${service.url}/graphql`, {
    method: "POST",
    headers: { authorization: `Bearer ${service.key}`, "content-type": "application/json" },
    body: JSON.stringify({ query, variables: { input: input(source) } }),
  });
  const body = (await response.json()) as {
    data?: { runCreate: { run: { image: { id: string } } | null } };
  };
  if (!body.data?.runCreate.run) throw new Error(JSON.stringify(body));
  return body.data.runCreate.run;
}

/** In a process of its own, so that it does not count what it costs itself. */
async function cannonade(connections: number, body: string): Promise<Load> {
  const program = createRequire(import.meta.url).resolve("autocannon");
  const headers = [
    "-H",
    `authorization=Bearer ${service.key}`,
    "-H",
    "content-type=application/json",
  ];
  const options = [
    "-c",
    String(connections),
    "-d",
    String(seconds),
    "-m",
    "POST",
    "--json",
    "--no-progress",
    ...headers,
    "-b",
    body,
  ];
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [program, ...options, `${service.url}/graphql`],
    { maxBuffer: 1e7 },
  );
  return JSON.parse(stdout) as Load;
}
