import type { ChildProcess } from "node:child_process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { picture } from "../picture.ts";
import { type Service, startService } from "./service.ts";

let service: Service;
beforeAll(async () => {
  service = await startService({ workers: 0, leaseMs: 1_500 });
});
afterAll(() => service.stop());

const create = `mutation ($input: RunCreateInput!) {
  runCreate(input: $input) { run { id status } replayed userErrors { path code message fix } }
}`;
const look =
  "query ($id: ID!) { run(id: $id) { status tasks { result { __typename } error { code } } } }";

interface Created {
  runCreate: { run: { id: string; status: string }; replayed: boolean };
}
interface Looked {
  run: {
    status: string;
    tasks: { result: { __typename: string } | null; error: { code: string } | null }[];
  };
}

/** Sixteen long answers: several seconds of work, enough to be killed in the middle of. */
const longTasks = Array.from({ length: 16 }, () => ({
  prompt: {
    text: "What is the text in the image?",
    options: { beams: 8, maxTokens: 300, lengthPenalty: 9 },
  },
}));

async function submit(tasks: object[], fields: object = {}): Promise<string> {
  const source = { base64: (await picture()).toString("base64") };
  const { runCreate } = await service.ask<Created>(create, { input: { source, tasks, ...fields } });
  return runCreate.run.id;
}

async function statusOf(id: string): Promise<string> {
  return (await service.ask<Looked>(look, { id })).run.status;
}

const killed = (child: ChildProcess) =>
  new Promise((resolve) => {
    child.once("exit", resolve);
    child.kill("SIGKILL");
  });

test("a run whose worker is killed in the middle finishes on another, once", async () => {
  const id = await submit(longTasks);
  const first = service.startWorker();
  await expect.poll(() => statusOf(id), { timeout: 20_000, interval: 5 }).toBe("PROCESSING");
  await killed(first);
  expect(await statusOf(id)).toBe("PROCESSING");

  const second = service.startWorker();
  await expect.poll(() => statusOf(id), { timeout: 60_000, interval: 100 }).toBe("SUCCEEDED");
  const { run } = await service.ask<Looked>(look, { id });
  expect(run.tasks.map((task) => task.result?.__typename)).toEqual(
    longTasks.map(() => "PromptResult"),
  );
  await killed(second);
}, 90_000);

test("two workers share a queue, and every run ends once", async () => {
  const ids = await Promise.all(
    Array.from({ length: 24 }, (_, i) =>
      submit([{ caption: {} }], { idempotencyKey: `shared-${i}` }),
    ),
  );
  const workers = [service.startWorker(), service.startWorker()];
  for (const id of ids)
    await expect.poll(() => statusOf(id), { timeout: 30_000 }).toBe("SUCCEEDED");
  const again = await Promise.all(
    ids.map((_, i) => submit([{ caption: {} }], { idempotencyKey: `shared-${i}` })),
  );
  expect(again).toEqual(ids);
  await Promise.all(workers.map(killed));
});
