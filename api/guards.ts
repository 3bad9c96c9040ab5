import {
  type ASTVisitor,
  type FragmentDefinitionNode,
  GraphQLError,
  Kind,
  type SelectionSetNode,
  type ValidationContext,
  type ValidationRule,
} from "graphql";
import { limits } from "../core/limits.ts";

export const parseOptions = { maxTokens: limits.request.tokensMax };
export const validationOptions = { maxErrors: limits.request.errorsMax, hideSuggestions: true };
export const executionOptions = { maxCoercionErrors: limits.request.errorsMax };

/**
 * Refuses an operation that is deeper, wider or busier than any honest one; fragments count as
 * often as they are spread.
 */
export const boundsRule: ValidationRule = (context: ValidationContext): ASTVisitor => {
  const measured = new Map<string, Measure>();
  return {
    OperationDefinition(operation) {
      const measure = measureSelections(operation.selectionSet, { context, measured });
      const directives = measure.directives + (operation.directives?.length ?? 0);
      const bounds = [
        { what: "levels of fields", is: measure.depth, max: limits.request.depthMax },
        { what: "aliases", is: measure.aliases, max: limits.request.aliasesMax },
        { what: "directives", is: directives, max: limits.request.directivesMax },
        { what: "root fields", is: measure.fields, max: limits.request.rootFieldsMax },
      ];
      for (const { what, is, max } of bounds) {
        if (is > max)
          context.reportError(
            new GraphQLError(`The operation has ${is} ${what}; at most ${max} are allowed.`, {
              nodes: operation,
            }),
          );
      }
    },
  };
};

interface Measure {
  readonly depth: number;
  readonly aliases: number;
  readonly directives: number;
  /** Fields of the first level, those of fragments included. */
  readonly fields: number;
}

const nothing: Measure = { depth: 0, aliases: 0, directives: 0, fields: 0 };

interface Fragments {
  readonly context: ValidationContext;
  /**
   * By fragment name, so that fragments that spread one another twice at each level are walked
   * once.
   */
  readonly measured: Map<string, Measure>;
}

function measureSelections(set: SelectionSetNode | undefined, fragments: Fragments): Measure {
  let sum = nothing;
  for (const selection of set?.selections ?? []) {
    const inner =
      selection.kind === Kind.FRAGMENT_SPREAD
        ? measureFragment(selection.name.value, fragments)
        : measureSelections(selection.selectionSet, fragments);
    const isField = selection.kind === Kind.FIELD;
    // Introspection nests without growing; graphql-js bounds the lists in it by itself
    // (MaxIntrospectionDepthRule).
    const isIntrospection = isField && selection.name.value.startsWith("__");
    sum = {
      depth: Math.max(sum.depth, isField ? 1 + (isIntrospection ? 0 : inner.depth) : inner.depth),
      aliases: sum.aliases + inner.aliases + (isField && selection.alias ? 1 : 0),
      directives: sum.directives + inner.directives + (selection.directives?.length ?? 0),
      fields: sum.fields + (isField ? 1 : inner.fields),
    };
  }
  return sum;
}

function measureFragment(name: string, fragments: Fragments): Measure {
  const known = fragments.measured.get(name);
  if (known) return known;
  fragments.measured.set(name, nothing); // ends a cycle; another rule reports it
  const fragment: FragmentDefinitionNode | null | undefined = fragments.context.getFragment(name);
  const measure = measureSelections(fragment?.selectionSet, fragments);
  fragments.measured.set(name, measure);
  return measure;
}
