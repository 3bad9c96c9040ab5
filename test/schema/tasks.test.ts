import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import {
  buildSchema,
  coerceInputValue,
  type GraphQLEnumType,
  type GraphQLInputObjectType,
} from "graphql";
import { describe, expect, test } from "vitest";
import { taskByField, taskByName, visionTasks } from "../../schema/tasks.ts";
import { imageSize, rawText } from "./answers/raw-text.ts";
import { certain } from "./tasks/answer.ts";
import { sampleInputs } from "./tasks/samples.ts";

const schema = buildSchema(
  readFileSync(new URL("../../schema/schema.graphql", import.meta.url), "utf8"),
);
const taskInput = schema.getType("TaskInput") as GraphQLInputObjectType;
const taskName = schema.getType("TaskName") as GraphQLEnumType;
const fields = visionTasks.map((task) => task.field);

test("the catalogue is the SDL's: the same names and fields in the same order", () => {
  expect(visionTasks.map((task) => task.name)).toEqual(
    taskName.getValues().map((value) => value.name),
  );
  expect(fields).toEqual(Object.keys(taskInput.getFields()));
});

test("every task is found by its name and by its field, and by nothing else", () => {
  for (const task of visionTasks) {
    expect(taskByName(task.name)).toBe(task);
    expect(taskByField(task.field)).toBe(task);
  }
  expect(taskByField("CAPTION")).toBeNull();
  expect(taskByField("constructor")).toBeNull();
});

test("the catalogue cannot be changed", () => {
  expect(Object.isFrozen(visionTasks)).toBe(true);
});

test("every task has a file, named after it", () => {
  const files = readdirSync(new URL("../../schema/tasks/", import.meta.url));
  const expected = fields.map(
    (field) => `${field.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}.ts`,
  );
  expect(files).toEqual(expect.arrayContaining(expected));
});

describe.each(fields)("%s", (field) => {
  const input = coerceInputValue({ [field]: sampleInputs[field] }, taskInput) as Record<
    string,
    Record<string, unknown>
  >;
  const task = taskByField(field);

  test("takes what GraphQL coerced, and reads any answer without throwing", () => {
    fc.assert(
      fc.property(rawText, imageSize, (raw, size) => {
        const coerced = input[field] ?? {};
        expect(task?.check(coerced, { width: 100, height: 100 })).toBeNull();
        const reading = task?.ask(coerced, size, null).read(certain(raw), size);
        expect(schema.getType(reading?.result.type ?? "")).toBeDefined();
        for (const score of scoresIn(reading?.result))
          expect(score === 0 || score === 1).toBe(true);
      }),
    );
  });
});

/** Every score anywhere in a result. */
function scoresIn(value: unknown): unknown[] {
  if (value === null || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([key, child]) => {
    if (key === "score") return [child];
    return key === "scores" ? (child as unknown[]) : scoresIn(child);
  });
}
