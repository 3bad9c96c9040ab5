import {
  defaultFieldResolver,
  type GraphQLSchema,
  getDirectiveValues,
  isObjectType,
} from "graphql";
import { AppError } from "../core/errors.ts";
import type { Scope } from "../core/tenant.ts";
import type { RequestContext } from "./context.ts";

/**
 * Holds every field with `@scope` to it, events at their source: the caller's key needs one of the scopes that the directive names, or OPERATOR
 * where it stands there. Changes the schema in place, once.
 */
export function enforceScopes(schema: GraphQLSchema): GraphQLSchema {
  const directive = schema.getDirective("scope");
  if (!directive) throw new Error("The schema has no @scope.");
  for (const type of Object.values(schema.getTypeMap()).filter(isObjectType)) {
    for (const field of Object.values(type.getFields())) {
      const any =
        field.astNode &&
        (getDirectiveValues(directive, field.astNode)?.any as readonly Scope[] | undefined);
      if (!any) continue;
      const { resolve = defaultFieldResolver, subscribe } = field;
      field.resolve = (source, args, context: RequestContext, info) => {
        requireScope(context, any, field.name);
        return resolve(source, args, context, info);
      };
      if (subscribe) {
        field.subscribe = (source, args, context: RequestContext, info) => {
          requireScope(context, any, field.name);
          return subscribe(source, args, context, info);
        };
      }
    }
  }
  return schema;
}

function requireScope({ caller }: RequestContext, any: readonly Scope[], field: string): void {
  if (any.some((scope) => caller.scopes.includes(scope))) return;
  throw new AppError("FORBIDDEN", `This API key may not use ${field}.`, {
    fix: `Use a key with the scope ${any.join(" or ")}.`,
  });
}
