import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { anyEntry } from "../../core/audit.ts";
import { applyChange } from "../../core/lifecycle.ts";
import { answered } from "../core/answered.ts";
import { runCreate, runInput, startGateway, type TestGateway } from "./start.ts";

let gateway: TestGateway;
beforeEach(async () => {
  gateway = await startGateway();
  onTestFinished(() => gateway.close());
});

const filesOf = (tenantId: string) => {
  const folder = join(gateway.dataDir, "images", tenantId);
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter((e) => e.isFile());
};

async function create(fields: object = {}, authorization?: string) {
  const { body } = await gateway.ask(
    `mutation ($input: RunCreateInput!) { runCreate(input: $input) {
      run { id status image { id } } userErrors { code message } } }`,
    { input: await runInput(fields) },
    authorization,
  );
  expect(body.data.runCreate.userErrors).toEqual([]);
  return body.data.runCreate.run as { id: string; image: { id: string } };
}

/** Ends a run as a worker would. */
async function finish(runId: string, tenantId = "ada") {
  const claim = await applyChange(gateway.ports, { tenantId, runId }, { type: "claim" });
  const { attempt = 0, tasks = [] } = claim?.run ?? {};
  const outcomes = tasks.map(() => answered(3));
  const change = { type: "finish", attempt, outcomes, imageTimings: null } as const;
  expect(await applyChange(gateway.ports, { tenantId, runId }, change)).toMatchObject({
    applied: true,
  });
}

const remove = async (kind: "run" | "image", id: string, authorization?: string) => {
  const query = `mutation { ${kind}Delete(input: { ${kind}Id: "${id}" }) {
    ${kind}Id deleted userErrors { path code fix } } }`;
  return (await gateway.ask(query, {}, authorization)).body.data[`${kind}Delete`];
};

test("a deleted run's id answers as a missing one, and its image's file is gone", async () => {
  const run = await create();
  await finish(run.id);
  expect(filesOf("ada")).toHaveLength(1);
  expect(await remove("run", run.id)).toEqual({ runId: run.id, deleted: true, userErrors: [] });
  expect(await remove("run", run.id)).toEqual({ runId: run.id, deleted: false, userErrors: [] });
  const { body } = await gateway.ask(
    `{ run(id: "${run.id}") { id } node(id: "${run.image.id}") { id } runs { edges { cursor } } }`,
  );
  expect(body.data).toEqual({ run: null, node: null, runs: { edges: [] } });
  expect(filesOf("ada")).toEqual([]);
  const { entries } = await gateway.ports.audit.list({ ...anyEntry, first: 9, after: null });
  expect(entries.filter(({ action }) => action === "run.delete")).toHaveLength(1);
});

test("an unfinished run and its image are refused with what to do, and deleted after a cancel", async () => {
  const run = await create();
  const refusal = { code: "NOT_FINISHED", fix: expect.stringContaining("runCancel") };
  expect(await remove("run", run.id)).toMatchObject({
    ...{ runId: null, deleted: null },
    userErrors: [{ path: ["input", "runId"], ...refusal }],
  });
  expect(await remove("image", run.image.id)).toMatchObject({
    ...{ imageId: null, deleted: null },
    userErrors: [{ path: ["input", "imageId"], ...refusal }],
  });
  await gateway.ask(`mutation { runCancel(input: { runId: "${run.id}" }) { run { id } } }`);
  expect(await remove("image", run.image.id)).toMatchObject({ deleted: true });
  expect(await remove("run", run.id)).toMatchObject({ deleted: true });
});

test("a deleted image leaves its finished runs their answers, and is stored anew when it comes again", async () => {
  const run = await create();
  await finish(run.id);
  expect(await remove("image", run.image.id)).toMatchObject({ deleted: true });
  expect(filesOf("ada")).toEqual([]);
  const { body } = await gateway.ask(
    `{ run(id: "${run.id}") { status image { id width } tasks { raw } } }`,
  );
  expect(body.data.run).toMatchObject({ status: "SUCCEEDED", image: { id: run.image.id } });
  const byId = await gateway.ask(runCreate, {
    input: { ...(await runInput()), source: { imageId: run.image.id } },
  });
  expect(byId.body.data.runCreate.userErrors[0]).toMatchObject({ code: "NOT_FOUND" });
  const again = await create();
  expect(again.image.id).toBe(run.image.id);
  expect(await gateway.ports.images.read("ada", again.image.id)).not.toBeNull();
});

test("another tenant's run and image, of the same bytes, stay", async () => {
  const asBob = `Bearer ${gateway.keys.bob}`;
  const [adas, bobs] = [await create(), await create({}, asBob)];
  await finish(adas.id);
  expect(await remove("run", adas.id, asBob)).toMatchObject({ deleted: false, userErrors: [] });
  expect(await remove("image", adas.image.id, asBob)).toMatchObject({ deleted: false });
  expect(await gateway.ports.images.read("ada", adas.image.id)).not.toBeNull();
  expect(await remove("run", adas.id)).toMatchObject({ deleted: true });
  expect(await gateway.ports.images.read("bob", bobs.image.id)).not.toBeNull();
});

test("a run that is taken while its image is deleted has its image", async () => {
  const first = await create();
  await finish(first.id);
  for (let round = 0; round < 10; round += 1) {
    const [run] = await Promise.all([create(), remove("image", first.image.id)]);
    expect(await gateway.ports.images.read("ada", run.image.id)).not.toBeNull();
    await finish(run.id);
  }
});
