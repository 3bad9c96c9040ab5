import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { readConfig } from "../../adapters/config.ts";
import { connect } from "../../adapters/connect.ts";
import { removeAlias, setAlias } from "../../cli/model-aliases.ts";
import { checkHosting, checkModel, checkModels } from "../../cli/model-checks.ts";
import { listModels } from "../../cli/model-list.ts";
import { modelMemoryMb } from "../../cli/model-memory.ts";
import type { HostedModel } from "../../core/ports.ts";
import { addModelCopy } from "../model-copy.ts";

let data: string;
let said: string;
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), "vedere-cli-hosting-"));
  said = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    said += String(text);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(data, { recursive: true });
});

const config = (env: Record<string, string> = {}) => readConfig(env, { dataDir: data });

async function report(changes: Partial<HostedModel>): Promise<void> {
  const ports = await connect(config());
  const model = {
    id: "tuned",
    revision: "1",
    state: "READY",
    message: null,
    executionProvider: "cpu",
    memoryBytes: 64e6,
  } as const;
  await ports.registry.report({
    workerId: "w1",
    at: Date.now(),
    models: [{ ...model, ...changes }],
  });
  await ports.close();
}

test("an alias is made, led elsewhere, listed and removed", async () => {
  for (const revision of ["1", "2"]) addModelCopy(data, { id: "tuned", revision });
  await setAlias("prod", "tuned@1", { data });
  await setAlias("prod", "tuned@2", { data });
  await setAlias("beta", "prod", { data });
  expect(said).toBe("prod → tuned@1\nprod → tuned@2\nbeta → tuned@2\n");
  said = "";
  await listModels({ data, json: true });
  const listed: { revision: string; aliases: string[]; status: string }[] = JSON.parse(said);
  expect(listed.find(({ revision }) => revision === "2")).toMatchObject({
    aliases: ["beta", "prod"],
    status: "AVAILABLE",
  });
  await removeAlias("beta", { data });
  await expect(removeAlias("beta", { data })).rejects.toMatchObject({
    code: "MODEL_NOT_FOUND",
    fix: expect.stringContaining("prod"),
  });
});

test("an alias that would lead nowhere, to a broken model or to itself is refused, and changes nothing", async () => {
  breakModel(addModelCopy(data, { id: "broken", revision: "1" }));
  await setAlias("a", "florence-2-nano", { data });
  await expect(setAlias("b", "nothing", { data })).rejects.toMatchObject({
    code: "MODEL_NOT_FOUND",
  });
  await expect(setAlias("b", "broken", { data })).rejects.toMatchObject({
    code: "MODEL_UNAVAILABLE",
  });
  await setAlias("b", "a", { data });
  await expect(setAlias("a", "b", { data })).rejects.toMatchObject({
    code: "INVALID",
    message: expect.stringContaining("itself"),
  });
  await expect(setAlias("two words", "a", { data })).rejects.toMatchObject({ code: "INVALID" });
  const ports = await connect(config());
  expect(await ports.registry.aliases()).toEqual([
    { name: "a", target: "florence-2-nano" },
    { name: "b", target: "a" },
  ]);
  await ports.close();
});

test("the list shows what workers do, what is broken and why, and aliases that lead nowhere", async () => {
  const folder = addModelCopy(data, { id: "tuned", revision: "1" });
  breakModel(addModelCopy(data, { id: "broken", revision: "1" }));
  await setAlias("prod", "tuned@1", { data });
  await report({});
  said = "";
  await listModels({ data });
  expect(said).toMatch(/^ {2}broken .*FAILED\n/);
  expect(said).toMatch(/\n\* tuned .*READY\n/);
  expect(said).toContain("aliases: prod");
  expect(said).toMatch(/\n {2}florence-2-nano .*AVAILABLE\n/);
  rmSync(folder, { recursive: true });
  said = "";
  await listModels({ data });
  expect(said).toContain("! prod → tuned@1: there is no such model");
});

test("doctor warns of broken folders and of aliases that lead nowhere, and of nothing else", async () => {
  expect(await checkModels(config())).toEqual({ status: "OK", detail: "1 can be run, 0 aliases" });
  const folder = addModelCopy(data, { id: "tuned", revision: "1" });
  await setAlias("prod", "tuned@1", { data });
  expect(await checkModels(config())).toMatchObject({ status: "OK" });
  breakModel(folder);
  const found = await checkModels(config());
  expect(found).toMatchObject({ status: "WARN", detail: expect.stringContaining(folder) });
  expect(found.detail).toContain("alias prod");
});

test("doctor refuses a default model that is larger than the memory for models, and warns of a precision that it has not", async () => {
  expect(await checkModel(config())).toMatchObject({
    status: "OK",
    detail: expect.stringContaining("florence-2-nano@"),
  });
  expect(await checkModel(config({ VEDERE_MODEL_MEMORY_MB: "1" }))).toMatchObject({
    status: "FAIL",
    fix: expect.stringContaining("VEDERE_MODEL_MEMORY_MB"),
  });
  expect(await checkModel(config({ VEDERE_PRECISION: "q4" }))).toMatchObject({
    status: "WARN",
    detail: expect.stringContaining("VEDERE_PRECISION"),
  });
});

test("doctor tells what running workers host, and warns where a model fell back or failed", async () => {
  expect(await checkHosting(config())).toMatchObject({
    status: "OK",
    detail: "none reported within the last minute",
  });
  await report({});
  expect(await checkHosting(config())).toMatchObject({
    status: "OK",
    detail: "1 reported within the last minute; w1: tuned@1 READY on cpu, 64 MB",
  });
  await report({ message: "It runs on cpu. cuda: no driver." });
  expect(await checkHosting(config())).toMatchObject({
    status: "WARN",
    detail: expect.stringContaining("no driver"),
  });
});

test("workers share half of the machine's memory, unless a figure is set", () => {
  const alone = modelMemoryMb({ modelMemoryMb: null });
  expect(alone).toBeGreaterThan(0);
  expect(modelMemoryMb({ modelMemoryMb: null }, 4)).toBeCloseTo(alone / 4, -1);
  expect(modelMemoryMb({ modelMemoryMb: 700 }, 4)).toBe(700);
});

/** Takes away a file that it cannot do without. */
function breakModel(folder: string): void {
  rmSync(join(folder, "onnx", "vision_encoder.onnx"));
}
