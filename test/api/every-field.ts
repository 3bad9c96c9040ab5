import {
  type GraphQLArgument,
  type GraphQLInputType,
  type GraphQLObjectType,
  type GraphQLSchema,
  getNamedType,
  isInputObjectType,
  isNonNullType,
} from "graphql";

/**
 * Every query and mutation of the schema, each as an operation that it takes: a new field is there
 * on the day it is added.
 */
export function everyOperation(
  schema: GraphQLSchema,
): { readonly name: string; readonly query: string }[] {
  const roots = { query: schema.getQueryType(), mutation: schema.getMutationType() };
  return Object.entries(roots).flatMap(([kind, root]) =>
    Object.values(root?.getFields() ?? {}).map(({ name, args, type }) => {
      const passed = requiredArguments(args).trim();
      const named = getNamedType(type);
      const selection = "getFields" in named ? everyScalar(named as GraphQLObjectType) : "";
      return { name, query: `${kind} { ${name}${passed && `(${passed})`} ${selection} }` };
    }),
  );
}

/** The smallest literal that a type takes, as far as its shape tells. */
export function smallest(type: GraphQLInputType): string {
  if (isNonNullType(type)) return smallest(type.ofType);
  if (String(type).startsWith("[")) return `[${smallest(getNamedType(type) as GraphQLInputType)}]`;
  if (String(type) === "TaskInput") return "{ caption: {} }";
  if (isInputObjectType(type)) {
    const fields = Object.values(type.getFields());
    const needed = type.isOneOf
      ? fields.slice(0, 1)
      : fields.filter((field) => isNonNullType(field.type) && field.defaultValue === undefined);
    return `{ ${needed.map((field) => `${field.name}: ${field.name === "sha256" ? JSON.stringify("0".repeat(64)) : smallest(field.type)}`).join(" ")} }`;
  }
  if (String(type) === "Int") return "1";
  if (String(type) === "DateTime") return '"2026-01-01T00:00:00Z"';
  if (String(type) === "ID") return '"run_x"';
  if (String(type) === "URL") return '"https://example.com"';
  return '"x"';
}

/** The arguments without which a field cannot be asked for, each as small as it can be. */
export function requiredArguments(args: readonly GraphQLArgument[]): string {
  const required = args.filter(
    ({ type, defaultValue }) => isNonNullType(type) && defaultValue === undefined,
  );
  return required.map(({ name, type }) => ` ${name}: ${smallest(type)}`).join("");
}

/** All of an object's fields that need no argument, three levels deep. */
export function everyScalar(type: GraphQLObjectType, depth = 0): string {
  const fields = Object.values(type.getFields()).flatMap(({ name, type: fieldType, args }) => {
    const named = getNamedType(fieldType);
    if (requiredArguments(args) !== "") return [];
    if (!("getFields" in named)) return "getTypes" in named ? [] : [name];
    return depth < 3 ? [`${name} ${everyScalar(named as GraphQLObjectType, depth + 1)}`] : [];
  });
  return `{ __typename ${fields.join(" ")} }`;
}
