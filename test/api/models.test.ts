import { rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { reportLifetimeMs } from "../../core/model-status.ts";
import type { HostedModel } from "../../core/ports.ts";
import { addModelCopy } from "../model-copy.ts";
import { runCreate, runInput, startForTest, type TestGateway } from "./start.ts";

const fields =
  "id revision isDefault isCurrent aliases status statusReason defaults { beams maxTokens noRepeatNgramSize lengthPenalty }";
const hosted = {
  id: "florence-2-nano",
  state: "READY",
  message: null,
  executionProvider: "cpu",
  memoryBytes: 1,
} as const;

async function models(gateway: TestGateway) {
  return (await gateway.ask(`{ models { ${fields} } }`)).body.data.models;
}

async function report(
  gateway: TestGateway,
  changes: Partial<HostedModel>,
  ageMs = 0,
): Promise<void> {
  const [nano] = await gateway.ports.models.list();
  const at = Date.now() - ageMs;
  await gateway.ports.registry.report({
    workerId: "w",
    at,
    models: [{ ...hosted, revision: nano?.revision ?? "", ...changes }],
  });
}

async function create(gateway: TestGateway, parts: object) {
  return (await gateway.ask(runCreate, { input: await runInput(parts) })).body.data.runCreate;
}

test("a model tells its defaults, its names and that no worker has it loaded", async () => {
  const gateway = await startForTest();
  await gateway.ports.registry.setAlias({ name: "prod", target: "florence-2-nano" });
  expect(await models(gateway)).toEqual([
    {
      ...{
        id: "florence-2-nano",
        revision: expect.any(String),
        isDefault: true,
        isCurrent: true,
        aliases: ["prod"],
      },
      ...{ status: "AVAILABLE", statusReason: null },
      defaults: {
        beams: 1,
        maxTokens: 128,
        noRepeatNgramSize: 0,
        lengthPenalty: expect.any(Number),
      },
    },
  ]);
});

test("its status is what living workers say; a dead worker's word is forgotten", async () => {
  const gateway = await startForTest();
  await report(gateway, { state: "LOADING" });
  expect(await models(gateway)).toMatchObject([{ status: "LOADING" }]);
  await report(gateway, {});
  expect(await models(gateway)).toMatchObject([{ status: "READY", statusReason: null }]);
  await report(gateway, { state: "FAILED", message: "It lacks memory." });
  expect(await models(gateway)).toMatchObject([
    { status: "FAILED", statusReason: "It lacks memory." },
  ]);
  await report(gateway, {}, reportLifetimeMs + 1_000);
  expect(await models(gateway)).toMatchObject([{ status: "AVAILABLE" }]);
});

test("a run takes an alias, id@revision, or a model that has just come", async () => {
  const gateway = await startForTest();
  await models(gateway); // the folders have been looked at
  addModelCopy(gateway.dataDir, { id: "tuned", revision: "7" });
  const create7 = runCreate.replace("run { id", "run { model { revision } id");
  const { body } = await gateway.ask(create7, { input: await runInput({ model: "tuned@7" }) });
  expect(body.data.runCreate).toMatchObject({ run: { model: { revision: "7" } }, userErrors: [] });
  await gateway.ports.registry.setAlias({ name: "prod", target: "tuned@7" });
  for (const model of ["tuned", "tuned@7", "prod"]) {
    const { run, userErrors } = await create(gateway, { model });
    expect(userErrors).toEqual([]);
    const { body } = await gateway.ask(
      "query ($id: ID!) { run(id: $id) { model { id revision } } }",
      { id: run.id },
    );
    expect(body.data.run.model).toEqual({ id: "tuned", revision: "7" });
  }
});

test("a run keeps the name that it was given, so that a switched alias counts for it", async () => {
  const gateway = await startForTest();
  addModelCopy(gateway.dataDir, { id: "tuned", revision: "1" });
  addModelCopy(gateway.dataDir, { id: "tuned", revision: "2" });
  await gateway.ports.registry.setAlias({ name: "prod", target: "tuned@1" });
  const { run } = await create(gateway, { model: "prod" });
  expect((await gateway.ports.runs.get("ada", run.id))?.model).toBe("prod");
  await gateway.ports.registry.setAlias({ name: "prod", target: "tuned@2" });
  const { body } = await gateway.ask("query ($id: ID!) { run(id: $id) { model { revision } } }", {
    id: run.id,
  });
  expect(body.data.run.model.revision).toBe("2");
});

test("a broken model is listed with its fault, and refused; paths of the server stay out of sight", async () => {
  const gateway = await startForTest();
  const folder = addModelCopy(gateway.dataDir, { id: "broken", revision: "1" });
  rmSync(join(folder, "onnx", "vision_encoder.onnx"));
  await gateway.ports.models.list({ isFresh: true });
  const [broken] = await models(gateway);
  expect(broken).toMatchObject({
    id: "broken",
    status: "FAILED",
    defaults: null,
    isCurrent: false,
    isDefault: false,
  });
  expect(broken.statusReason).toContain("onnx/vision_encoder.onnx");
  const { run, userErrors } = await create(gateway, { model: "broken" });
  expect(run).toBeNull();
  expect(userErrors).toMatchObject([{ code: "MODEL_UNAVAILABLE", path: ["input", "model"] }]);
  expect(JSON.stringify([broken, userErrors])).not.toContain(gateway.dataDir);
});

test("an unknown name is refused with those that there are", async () => {
  const gateway = await startForTest();
  await gateway.ports.registry.setAlias({ name: "prod", target: "florence-2-nano" });
  const { userErrors } = await create(gateway, { model: "no-such-model" });
  expect(userErrors).toMatchObject([
    {
      code: "MODEL_NOT_FOUND",
      path: ["input", "model"],
      fix: expect.stringContaining("florence-2-nano, prod"),
    },
  ]);
});
