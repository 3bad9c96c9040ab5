import {
  defaultFieldResolver,
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
  isObjectType,
} from "graphql";
import { AppError } from "../core/errors.ts";
import { exactFault } from "../core/exact.ts";
import { limits } from "../core/limits.ts";
import type { RequestContext } from "./context.ts";
import { userErrorsOf } from "./user-errors.ts";

/** Their items stand or fall alone, so their resolvers check each of them. */
const checkItems: readonly string[] = ["runCreate", "runsCreate", "uploadsCreate"];

/**
 * Refuses arguments that no store keeps exactly (`core/exact.ts`), before a resolver sees them,
 * whether they came as variables or in the document: a mutation's as userErrors, others' as the
 * error INVALID. Changes the schema in place, once.
 */
export function requireExactArguments(schema: GraphQLSchema): GraphQLSchema {
  for (const owner of Object.values(schema.getTypeMap()).filter(isObjectType))
    for (const field of Object.values(owner.getFields())) {
      if (!field.args.some(({ type }) => takesText(type)) || checkItems.includes(field.name))
        continue;
      const { resolve = defaultFieldResolver, subscribe } = field;
      const isMutation = owner === schema.getMutationType();
      if (isMutation) requireEmptyPayload(field);
      field.resolve = (source, args, context: RequestContext, info) => {
        const fault = argumentFault(field, args);
        if (!fault) return resolve(source, args, context, info);
        if (!isMutation) throw fault;
        return { userErrors: userErrorsOf(fault, []) };
      };
      if (subscribe) {
        field.subscribe = (source, args, context: RequestContext, info) => {
          const fault = argumentFault(field, args);
          if (fault) throw fault;
          return subscribe(source, args, context, info);
        };
      }
    }
  return schema;
}

function takesText(type: GraphQLInputType): boolean {
  const named = getNamedType(type);
  return !isEnumType(named) && named.name !== "Int" && named.name !== "Boolean";
}

function argumentFault(
  field: GraphQLField<unknown, unknown>,
  args: Readonly<Record<string, unknown>>,
): AppError | null {
  for (const { name, type } of field.args) {
    const fault = exactFault(args[name], [name]) ?? idFault(type, args[name], [name]);
    if (fault) return fault;
  }
  return null;
}

/**
 * An id that is longer than any: some stores cannot even look for it. Recurses as far as the
 * schema's types do.
 */
function idFault(type: GraphQLInputType, value: unknown, path: readonly string[]): AppError | null {
  const inner = getNullableType(type);
  if (value === undefined || value === null) return null;
  if (isListType(inner) && Array.isArray(value))
    return first(value.entries(), ([i, each]) => idFault(inner.ofType, each, [...path, String(i)]));
  if (isInputObjectType(inner))
    return first(Object.values(inner.getFields()), (field) =>
      idFault(field.type, (value as Readonly<Record<string, unknown>>)[field.name], [
        ...path,
        field.name,
      ]),
    );
  if (String(inner) !== "ID" || String(value).length <= limits.request.idMax) return null;
  return new AppError("INVALID", `The id has more than ${limits.request.idMax} characters.`, {
    path,
    fix: "Give an id as this service wrote it.",
  });
}

function first<Item>(
  items: Iterable<Item>,
  faultOf: (item: Item) => AppError | null,
): AppError | null {
  for (const item of items) {
    const fault = faultOf(item);
    if (fault) return fault;
  }
  return null;
}

/**
 * Throws where the SDL's payload of a mutation has a field that cannot be empty beside userErrors.
 */
function requireEmptyPayload({ name, type }: GraphQLField<unknown, unknown>): void {
  const payload = getNullableType(type);
  if (!isObjectType(payload)) throw new Error(`The mutation ${name} has no payload.`);
  const filled = Object.values(payload.getFields())
    .filter((field) => field.name !== "userErrors" && isNonNullType(field.type))
    .map((field) => field.name);
  if (filled.length > 0) throw new Error(`The payload of ${name} cannot be empty: ${filled}.`);
}
