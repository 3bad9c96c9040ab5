import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { eraseRead } from "../../core/erase-read.ts";
import { applyChange } from "../../core/lifecycle.ts";
import { limits } from "../../core/limits.ts";
import { answered } from "../core/answered.ts";
import { runInput, startGateway, type TestGateway } from "./start.ts";

let gateway: TestGateway;
let aheadMs: number;
let isBroken: boolean;
beforeEach(async () => {
  aheadMs = 0;
  isBroken = false;
  gateway = await startGateway({}, (ports) => ({
    ...ports,
    clock: { now: () => Date.now() + aheadMs },
    runs: {
      ...ports.runs,
      eraseFrom: (...given) =>
        isBroken ? Promise.reject(new Error("full")) : ports.runs.eraseFrom(...given),
    },
  }));
  onTestFinished(() => gateway.close());
});

const clock = { now: () => Date.now() + aheadMs };
const erase = () => eraseRead({ ...gateway.ports, clock }, { pause: async () => true });
const { readKeptMs, unreadKeptMs } = limits.run;

const tasks = "tasks { result { ... on CaptionResult { text } } }";
async function create(fields: object = {}) {
  const { body } = await gateway.ask(
    `mutation ($input: RunCreateInput!) { runCreate(input: $input) {
      run { id keep ${tasks} } replayed userErrors { code message } } }`,
    { input: await runInput({ keep: "NONE", ...fields }) },
  );
  return body.data.runCreate;
}

async function finish(runId: string): Promise<void> {
  const run = { tenantId: "ada", runId };
  await applyChange(gateway.ports, run, { type: "claim" });
  const outcomes = [answered(3)];
  await applyChange(gateway.ports, run, {
    ...{ type: "finish", attempt: 1, outcomes, imageTimings: null },
  });
}

const read = async (runId: string, fields: string) =>
  (await gateway.ask(`{ run(id: "${runId}") { ${fields} } }`)).body.data.run;

const files = () => {
  const folder = join(gateway.dataDir, "images", "ada");
  return existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true }).filter((e) => e.isFile())
    : [];
};

test("run and picture are deleted a minute after the tasks were read; the charges stay", async () => {
  const { run } = await create();
  expect(run.keep).toBe("NONE");
  await finish(run.id);
  expect(await read(run.id, tasks)).toEqual({ tasks: [{ result: { text: "a boat" } }] });
  expect(await erase()).toBe(0);
  expect(await read(run.id, tasks)).not.toBeNull(); // an answer that was lost is given again
  expect(files()).toHaveLength(1);
  aheadMs = readKeptMs + 1_000;
  expect(await erase()).toBe(1);
  expect(await read(run.id, "id")).toBeNull();
  expect(files()).toEqual([]);
  const { body } = await gateway.ask(
    `{ viewer { tenant { usage(from: "2020-01-01T00:00:00Z", to: "2100-01-01T00:00:00Z") { runs tasks } } } }`,
  );
  expect(body.data.viewer.tenant.usage).toEqual({ runs: 1, tasks: 1 });
  expect(await erase()).toBe(0);
});

test("whoever sees the status only has not read it; unread, it goes a day after its end", async () => {
  const { run } = await create();
  await finish(run.id);
  await read(run.id, "status finishedAt");
  aheadMs = unreadKeptMs - 5_000;
  expect(await erase()).toBe(0);
  aheadMs = unreadKeptMs + 5_000;
  expect(await erase()).toBe(1);
});

test("a run that is read before its end stays until its answer is read", async () => {
  const { run } = await create(); // its answer showed the open tasks
  await read(run.id, tasks);
  await finish(run.id);
  aheadMs = 2 * readKeptMs;
  expect(await erase()).toBe(0);
  expect(await read(run.id, tasks)).not.toBeNull();
});

test("a run that keeps all stays, and so does a picture that another run has", async () => {
  const { run: kept } = await create({ keep: "ALL" });
  const { run } = await create();
  for (const { id } of [kept, run]) {
    await finish(id);
    await read(id, tasks);
  }
  aheadMs = 2 * unreadKeptMs;
  expect(await erase()).toBe(1);
  expect(await read(kept.id, "keep")).toEqual({ keep: "ALL" });
  expect(files()).toHaveLength(1);
});

test("its idempotency key gives the answer again for a minute, and is free then", async () => {
  const given = { idempotencyKey: "k-1" };
  const { run } = await create(given);
  await finish(run.id);
  expect(await create(given)).toMatchObject({
    replayed: true,
    run: { id: run.id, tasks: [{ result: { text: "a boat" } }] },
  });
  expect((await create({ ...given, keep: "ALL" })).userErrors).toMatchObject([
    { code: "IDEMPOTENCY_MISMATCH" },
  ]);
  aheadMs = readKeptMs + 1_000;
  await erase();
  const again = await create(given);
  expect(again).toMatchObject({ replayed: false, userErrors: [] });
  expect(again.run.id).not.toBe(run.id);
});

test("a store that cannot note the reading costs nobody the answer", async () => {
  const { run } = await create();
  await finish(run.id);
  isBroken = true;
  expect(await read(run.id, tasks)).toEqual({ tasks: [{ result: { text: "a boat" } }] });
  expect(gateway.logged.map(({ message }) => message)).toContain(
    "that a run was read could not be noted",
  );
});
