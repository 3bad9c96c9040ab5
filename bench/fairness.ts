import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { packageRoot } from "../adapters/package-root.ts";
import { type OpenService, openService } from "./open-service.ts";
import { table } from "./table.ts";

// Whether one tenant's flood is another's wait: a tenant asks for a run a second, alone, then while
// another has 5,000 runs in the queue.
const samples = 60;
const flood = 5_000;
const image = readFileSync(join(packageRoot(), "models/samples", "harbour.jpg")).toString("base64");

interface Sample {
  /** The whole request. */
  readonly ms: number;
  /** From the run's creation until a worker began it. */
  readonly waitMs: number;
  readonly workMs: number;
}

interface Answered {
  readonly status: string;
  readonly createdAt: string;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly image: { readonly id: string };
}

type Ask = <Data>(query: string, variables?: object) => Promise<Data>;

const service = await openService(1);
try {
  const operator = asking(service, service.key);
  const [quiet, loud] = [
    asking(service, await newTenant(operator, "quiet")),
    asking(service, await newTenant(operator, "loud")),
  ];
  const [quietImage, loudImage] = [await storedImage(quiet), await storedImage(loud)];
  const alone = await oneASecond(quiet, quietImage);
  for (let sent = 0; sent < flood; sent += 100) await send(loud, loudImage, 100);
  const from = new Date().toISOString();
  const beside = await oneASecond(quiet, quietImage);
  const left = await isUnfinished(loud);
  const drained = await answeredSince(loud, from);
  const of = (key: keyof Sample, samples: readonly Sample[]) =>
    samples.map((sample) => sample[key]);
  console.log(
    table("a run of the quiet tenant, ms", {
      alone: of("ms", alone),
      "of it until it was begun": of("waitMs", alone),
      "of it with the worker": of("workMs", alone),
      "beside the flood": of("ms", beside),
      "until it was begun": of("waitMs", beside),
      "with the worker": of("workMs", beside),
    }),
  );
  const p99 = (values: readonly number[]) =>
    [...values].sort((a, b) => a - b)[Math.ceil(values.length * 0.99) - 1] ?? 0;
  const [p99Alone, p99Beside] = [p99(of("ms", alone)), p99(of("ms", beside))];
  console.log(
    `\np99 beside the flood / alone: ${p99Beside.toFixed(1)} / ${p99Alone.toFixed(1)} = ${(p99Beside / p99Alone).toFixed(2)} (n = ${samples} each; the flood was ${left ? "still there" : "OVER"} at the end and went at ${(drained / samples).toFixed(1)} runs/s)`,
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

/** One run to its end. */
async function run(ask: Ask, source: object): Promise<Answered> {
  const { runCreate } = await ask<{ runCreate: { run: Answered | null } }>(
    `mutation ($input: RunCreateInput!) {
      runCreate(input: $input) { run { status createdAt startedAt finishedAt image { id } } userErrors { message } }
    }`,
    { input: { source, tasks: [{ caption: {} }], waitMs: 60_000 } },
  );
  if (runCreate.run?.status !== "SUCCEEDED")
    throw new Error(`A run did not succeed: ${JSON.stringify(runCreate)}`);
  return runCreate.run;
}

async function storedImage(ask: Ask): Promise<string> {
  return (await run(ask, { base64: image })).image.id;
}

async function send(ask: Ask, imageId: string, count: number): Promise<void> {
  const tasks = [
    { detectObjects: {} },
    { describeRegions: {} },
    { proposeRegions: {} },
    { readText: { regions: true } },
  ];
  const items = Array.from({ length: count }, () => ({
    source: { imageId },
    tasks: [...tasks, ...tasks],
  }));
  await ask(
    "mutation ($input: RunsCreateInput!) { runsCreate(input: $input) { items { run { id } } } }",
    { input: { items } },
  );
}

/** How long each of `samples` runs took. */
function oneASecond(ask: Ask, imageId: string): Promise<Sample[]> {
  const started = performance.now();
  const waiting = Array.from({ length: samples }, async (_, i) => {
    await pause(started + i * 1_000 - performance.now());
    const asked = performance.now();
    const { createdAt, startedAt, finishedAt } = await run(ask, { imageId });
    const [created, begun, ended] = [
      Date.parse(createdAt),
      Date.parse(startedAt),
      Date.parse(finishedAt),
    ];
    return { ms: performance.now() - asked, waitMs: begun - created, workMs: ended - begun };
  });
  return Promise.all(waiting);
}

async function isUnfinished(ask: Ask): Promise<boolean> {
  const { runs } = await ask<{ runs: { edges: unknown[] } }>(
    "{ runs(first: 1, status: [QUEUED, PROCESSING]) { edges { cursor } } }",
  );
  return runs.edges.length > 0;
}

/** How many runs of the tenant have been answered since an instant. */
async function answeredSince(ask: Ask, from: string): Promise<number> {
  const { usage } = await ask<{ usage: { runs: number } }>(
    "query ($from: DateTime!, $to: DateTime!) { usage(from: $from, to: $to) { runs } }",
    {
      from,
      to: new Date().toISOString(),
    },
  );
  return usage.runs;
}
