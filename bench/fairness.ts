import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { packageRoot } from "../adapters/package-root.ts";
import { type OpenService, openService } from "./open-service.ts";
import { table } from "./table.ts";

// Whether one tenant's flood is another's wait: a tenant asks for a run a second, alone, then while another has 5,000 runs in the queue.
const samples = 60;
const flood = 5_000;
const image = readFileSync(join(packageRoot(), "models/samples", "harbour.jpg")).toString("base64");

type Ask = <Data>(query: string, variables?: object) => Promise<Data>;

const service = await openService(1);
try {
  const operator = asking(service, service.key);
  const [quiet, loud] = [asking(service, await newTenant(operator, "quiet")), asking(service, await newTenant(operator, "loud"))];
  const [quietImage, loudImage] = [await storedImage(quiet), await storedImage(loud)];
  const alone = await oneASecond(quiet, quietImage);
  for (let sent = 0; sent < flood; sent += 100) await send(loud, loudImage, 100);
  const beside = await oneASecond(quiet, quietImage);
  const left = await isUnfinished(loud);
  console.log(table("a run of the quiet tenant, ms", { alone, "beside the flood": beside }));
  const p99 = (values: readonly number[]) => [...values].sort((a, b) => a - b)[Math.ceil(values.length * 0.99) - 1] ?? 0;
  console.log(
    `\np99 beside the flood / alone: ${(p99(beside) / p99(alone)).toFixed(2)} (n = ${samples} each; the flood was ${left ? "still there" : "OVER"} at the end)`,
  );
} finally {
  await service.close();
}

function asking({ url }: OpenService, key: string): Ask {
  return async <Data>(query: string, variables: object = {}) => {
    const response = await fetch(`${url}/graphql`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = (await response.json()) as { data?: Data; errors?: unknown };
    if (!data || errors) throw new Error(JSON.stringify(errors));
    return data;
  };
}

async function newTenant(operator: Ask, name: string): Promise<string> {
  const { tenantCreate } = await operator<{ tenantCreate: { tenant: { id: string } } }>(
    "mutation ($name: String!) { tenantCreate(input: { name: $name }) { tenant { id } } }",
    { name },
  );
  const { apiKeyCreate } = await operator<{ apiKeyCreate: { secret: string } }>(
    `mutation ($id: ID!) { apiKeyCreate(input: { name: "bench", tenantId: $id }) { secret } }`,
    { id: tenantCreate.tenant.id },
  );
  return apiKeyCreate.secret;
}

/** One run to its end; returns its image. */
async function run(ask: Ask, source: object): Promise<string> {
  const { runCreate } = await ask<{ runCreate: { run: { status: string; image: { id: string } } | null } }>(
    "mutation ($input: RunCreateInput!) { runCreate(input: $input) { run { status image { id } } userErrors { message } } }",
    { input: { source, tasks: [{ caption: {} }], waitMs: 60_000 } },
  );
  if (runCreate.run?.status !== "SUCCEEDED") throw new Error(`A run did not succeed: ${JSON.stringify(runCreate)}`);
  return runCreate.run.image.id;
}

function storedImage(ask: Ask): Promise<string> {
  return run(ask, { base64: image });
}

async function send(ask: Ask, imageId: string, count: number): Promise<void> {
  const tasks = [{ detectObjects: {} }, { describeRegions: {} }, { proposeRegions: {} }, { readText: { regions: true } }];
  const items = Array.from({ length: count }, () => ({ source: { imageId }, tasks: [...tasks, ...tasks] }));
  await ask("mutation ($input: RunsCreateInput!) { runsCreate(input: $input) { items { run { id } } } }", { input: { items } });
}

/** How long each of `samples` runs took, in milliseconds. */
function oneASecond(ask: Ask, imageId: string): Promise<number[]> {
  const started = performance.now();
  const waiting = Array.from({ length: samples }, async (_, i) => {
    await pause(started + i * 1_000 - performance.now());
    const asked = performance.now();
    await run(ask, { imageId });
    return performance.now() - asked;
  });
  return Promise.all(waiting);
}

async function isUnfinished(ask: Ask): Promise<boolean> {
  const { runs } = await ask<{ runs: { edges: unknown[] } }>("{ runs(first: 1, status: [QUEUED, PROCESSING]) { edges { cursor } } }");
  return runs.edges.length > 0;
}
