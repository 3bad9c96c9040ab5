import { openService } from "./open-service.ts";

export interface ServiceFigures {
  readonly runsPerSecond: number;
  readonly milliseconds: Record<string, number[]>;
}

const document = `mutation ($input: RunCreateInput!) {
  runCreate(input: $input) {
    run { id status image { id } timings { decodeMs pixelsMs visionMs } tasks { timings { encodeMs generateMs parseMs } } }
    userErrors { code message }
  }
}`;

/**
 * The whole service on loopback: `alone` runs one after the other (what the service adds to the
 * engine's own time), then `together` runs by 8 clients (runs per second). Every run is caption +
 * detectObjects + readText on the same stored image.
 */
export async function benchService(
  image: Uint8Array,
  plan: { workers: number; alone: number; together: number },
): Promise<ServiceFigures> {
  const { url, key, close } = await openService(plan.workers);
  try {
    const first = await runOnce({
      url,
      key,
      source: { base64: Buffer.from(image).toString("base64") },
    });
    const source = { imageId: first.imageId };
    const milliseconds: Record<string, number[]> = {
      "whole request": [],
      "engine's part": [],
      "the service's own": [],
    };
    for (let i = -3; i < plan.alone; i += 1) {
      const run = await runOnce({ url, key, source });
      if (i < 0) continue;
      milliseconds["whole request"]?.push(run.totalMs);
      milliseconds["engine's part"]?.push(run.engineMs);
      milliseconds["the service's own"]?.push(run.totalMs - run.engineMs);
    }
    const started = performance.now();
    let left = plan.together;
    const client = async () => {
      while (left-- > 0) await runOnce({ url, key, source });
    };
    await Promise.all(Array.from({ length: 8 }, client));
    return { runsPerSecond: plan.together / ((performance.now() - started) / 1_000), milliseconds };
  } finally {
    await close();
  }
}

interface Answer {
  readonly image: { readonly id: string };
  readonly status: string;
  readonly timings: {
    readonly decodeMs: number;
    readonly pixelsMs: number;
    readonly visionMs: number;
  };
  readonly tasks: readonly {
    readonly timings: {
      readonly encodeMs: number;
      readonly generateMs: number;
      readonly parseMs: number;
    };
  }[];
}

async function runOnce(to: { url: string; key: string; source: object }) {
  const input = {
    source: to.source,
    tasks: [{ caption: {} }, { detectObjects: {} }, { readText: {} }],
    waitMs: 60_000,
  };
  const started = performance.now();
  const response = await fetch(`${to.url}/graphql`, {
    method: "POST",
    headers: { authorization: `Bearer ${to.key}`, "content-type": "application/json" },
    body: JSON.stringify({ query: document, variables: { input } }),
  });
  const body = (await response.json()) as { data?: { runCreate?: { run?: Answer } } };
  const totalMs = performance.now() - started;
  const run = body.data?.runCreate?.run;
  if (run?.status !== "SUCCEEDED")
    throw new Error(`A run did not succeed: ${JSON.stringify(body)}`);
  const { decodeMs, pixelsMs, visionMs } = run.timings;
  const shared = (pick: (timings: Answer["tasks"][number]["timings"]) => number) =>
    Math.max(...run.tasks.map((task) => pick(task.timings)));
  const parseMs = run.tasks.reduce((sum, task) => sum + task.timings.parseMs, 0);
  const engineMs =
    decodeMs +
    pixelsMs +
    visionMs +
    shared((t) => t.encodeMs) +
    shared((t) => t.generateMs) +
    parseMs;
  return { imageId: run.image.id, totalMs, engineMs };
}
