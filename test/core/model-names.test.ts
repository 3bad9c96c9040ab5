import { expect, test } from "vitest";
import {
  exactName,
  finalTarget,
  findModels,
  resolveModel,
  withAliases,
} from "../../core/model-names.ts";
import { newModel } from "./new-model.ts";

const newest = newModel({ id: "base", revision: "2" });
const former = newModel({ id: "base", revision: "1" });
const other = newModel({ id: "other", isDefault: true });
const models = [newest, former, other];
const named = (...aliases: [name: string, target: string][]) =>
  withAliases(
    models,
    aliases.map(([name, target]) => ({ name, target })),
  );
const found = (name: string, ...aliases: [string, string][]) =>
  findModels(named(...aliases), name).map(exactName);

test("an id means its revisions, the newest first; id@revision means that one", () => {
  expect(found("base")).toEqual(["base@2", "base@1"]);
  expect(found("base@1")).toEqual(["base@1"]);
  expect(found("nothing")).toEqual([]);
});

test("an alias means its target, also through other aliases", () => {
  expect(found("prod", ["prod", "base@1"])).toEqual(["base@1"]);
  expect(found("prod", ["prod", "base"])).toEqual(["base@2"]);
  expect(found("prod", ["prod", "next"], ["next", "other"])).toEqual(["other@1"]);
});

test("an alias named like an id pins the id to one revision, for other aliases too", () => {
  expect(found("base", ["base", "base@1"])).toEqual(["base@1"]);
  expect(found("prod", ["prod", "base"], ["base", "base@1"])).toEqual(["base@1"]);
  expect(found("base@2", ["base", "base@1"])).toEqual(["base@2"]);
});

test("an alias that leads nowhere, or in a circle, names nothing", () => {
  expect(found("prod", ["prod", "base@9"])).toEqual([]);
  expect(found("a", ["a", "b"], ["b", "a"])).toEqual([]);
  expect(finalTarget([{ name: "b", target: "a" }], "b", "a")).toBeNull();
  expect(finalTarget([], "a", "a")).toBeNull();
});

test("a broken revision leaves its id to the one before it", () => {
  const broken = [{ ...newest, fault: "It lacks a file." }, former];
  expect(findModels(broken, "base").map(exactName)).toEqual(["base@1"]);
  expect(findModels(broken, "base@2").map(exactName)).toEqual(["base@2"]);
});

test("the model that is meant, or why there is none", () => {
  expect(resolveModel(models, "base")).toBe(newest);
  expect(resolveModel(models, null)).toBe(other);
  expect(() => resolveModel(models, "nothing")).toThrow(
    expect.objectContaining({
      code: "MODEL_NOT_FOUND",
      fix: expect.stringContaining("base, other"),
    }),
  );
  expect(() => resolveModel([newest], null)).toThrow(
    expect.objectContaining({ code: "MODEL_NOT_FOUND" }),
  );
  expect(() => resolveModel([{ ...newest, fault: "It lacks a file." }], "base")).toThrow(
    expect.objectContaining({
      code: "MODEL_UNAVAILABLE",
      message: expect.stringContaining("It lacks a file."),
    }),
  );
});
