import {
  type GraphQLNamedType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  isUnionType,
} from "graphql";
import { expect, test } from "vitest";
import { buildGatewaySchema } from "../../api/schema.ts";
import { userErrorCodes } from "../../api/user-errors.ts";
import { limits } from "../../core/limits.ts";
import { visionTasks } from "../../schema/tasks.ts";

const schema = buildGatewaySchema();
const types = Object.values(schema.getTypeMap()).filter(
  ({ name }) =>
    !name.startsWith("__") && !["Boolean", "Float", "ID", "Int", "String"].includes(name),
);
const named = (name: string): GraphQLNamedType =>
  schema.getType(name) ?? expect.unreachable(`no type ${name}`);
const valuesOf = (name: string) => {
  const type = named(name);
  return isEnumType(type) ? type.getValues().map((value) => value.name) : [];
};

test("every type, field and enum value is described", () => {
  const bare = types.flatMap((type) => {
    const isRoot = [
      schema.getQueryType(),
      schema.getMutationType(),
      schema.getSubscriptionType(),
    ].includes(isObjectType(type) ? type : undefined);
    const members = isEnumType(type)
      ? type.getValues()
      : isObjectType(type) || isInterfaceType(type) || isInputObjectType(type)
        ? Object.values(type.getFields())
        : [];
    return [...(isRoot ? [] : [type]), ...members]
      .filter(({ description }) => !description)
      .map((each) => (each === type ? type.name : `${type.name}.${each.name}`));
  });
  expect(bare).toEqual([]);
});

test("every field of a root has a resolver, and every event a source", () => {
  for (const root of [schema.getQueryType(), schema.getMutationType()]) {
    for (const field of Object.values(root?.getFields() ?? {}))
      expect(field.resolve, field.name).toBeTypeOf("function");
  }
  for (const field of Object.values(schema.getSubscriptionType()?.getFields() ?? {}))
    expect(field.subscribe, field.name).toBeTypeOf("function");
});

test("the SDL's tasks are the catalogue's, in its order", () => {
  const input = named("TaskInput");
  expect(isInputObjectType(input) && Object.keys(input.getFields())).toEqual(
    visionTasks.map(({ field }) => field),
  );
  expect(valuesOf("TaskName")).toEqual(visionTasks.map(({ name }) => name));
});

test("the SDL's user errors are those that the gateway can tell", () => {
  expect(valuesOf("UserErrorCode").sort()).toEqual([...userErrorCodes].sort());
});

test("every member of TaskResult is an object of its own", () => {
  const union = named("TaskResult");
  expect(isUnionType(union) && union.getTypes().map(({ name }) => name)).toHaveLength(10);
});

test("the numbers that the SDL promises are the ones that are kept", () => {
  const input = named("RunCreateInput");
  const described = isInputObjectType(input)
    ? Object.fromEntries(
        Object.values(input.getFields()).map(({ name, description }) => [name, description]),
      )
    : {};
  expect(described.tasks).toContain(`1 to ${limits.run.tasksMax}`);
  expect(described.waitMs).toContain(`0 to ${limits.run.waitMsMax}`);
  expect(described.expiresInSeconds).toContain(`1 to ${limits.run.expiresInSecondsMax}`);
  expect(described.idempotencyKey).toContain(String(limits.run.idempotencyKeyMax));
});

test("one document can ask for every kind of result without renaming a field", () => {
  const union = named("TaskResult");
  const members = isUnionType(union) ? union.getTypes() : [];
  const shapes = new Map<string, Set<string>>();
  for (const member of members) {
    for (const { name, type } of Object.values(member.getFields())) {
      const shape = String(type).replace(/[A-Z]\w*(?=!\]!$|!$|$)/, (leaf) =>
        isObjectType(schema.getType(leaf)) ? "Object" : leaf,
      );
      shapes.set(name, (shapes.get(name) ?? new Set()).add(shape));
    }
  }
  expect([...shapes].filter(([, forms]) => forms.size > 1)).toEqual([]);
});
