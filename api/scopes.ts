import { defaultFieldResolver, type GraphQLSchema, getArgumentValues, isObjectType } from "graphql";
import { AppError } from "../core/errors.ts";
import type { Scope } from "../core/tenant.ts";
import type { RequestContext } from "./context.ts";

/**
 * Holds every field with `@scope` to it, events at their source: the caller's key needs one of the
 * scopes that each of the directives names. Changes the schema in place, once.
 */
export function enforceScopes(schema: GraphQLSchema): GraphQLSchema {
  const directive = schema.getDirective("scope");
  if (!directive) throw new Error("The schema has no @scope.");
  for (const type of Object.values(schema.getTypeMap()).filter(isObjectType)) {
    for (const field of Object.values(type.getFields())) {
      const needed = (field.astNode?.directives ?? [])
        .filter(({ name }) => name.value === directive.name)
        .map((node) => getArgumentValues(directive, node).any as readonly Scope[]);
      if (needed.length === 0) continue;
      const requireAll = (context: RequestContext) => requireScopes(context, needed, field.name);
      const { resolve = defaultFieldResolver, subscribe } = field;
      field.resolve = (source, args, context: RequestContext, info) => {
        requireAll(context);
        return resolve(source, args, context, info);
      };
      if (subscribe) {
        field.subscribe = (source, args, context: RequestContext, info) => {
          requireAll(context);
          return subscribe(source, args, context, info);
        };
      }
    }
  }
  return schema;
}

/** One of each list. */
function requireScopes(
  { caller }: RequestContext,
  needed: readonly (readonly Scope[])[],
  field: string,
): void {
  if (needed.every((any) => any.some((scope) => caller.scopes.includes(scope)))) return;
  throw new AppError("FORBIDDEN", `This API key may not use ${field}.`, {
    fix: `Use a key with the scope ${needed.map((any) => any.join(" or ")).join(", and ")}.`,
  });
}
