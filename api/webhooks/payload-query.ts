import {
  execute,
  type GraphQLSchema,
  Kind,
  parse,
  type SelectionSetNode,
  specifiedRules,
  validate,
} from "graphql";
import { AppError } from "../../core/errors.ts";
import { limits } from "../../core/limits.ts";
import type { RequestContext } from "../context.ts";
import { boundsRule, parseOptions, validationOptions } from "../guards.ts";
import { publicError } from "../public-error.ts";

/** What the fields below Run need of a request. */
export type PayloadContext = Pick<
  RequestContext,
  "ports" | "caller" | "requestId" | "log" | "models" | "workerReports"
>;

/**
 * Checks a selection on Run, such as `{ id status tasks { result { ... on CaptionResult { text } }
 * } }`, by the bounds of any operation. Throws AppError INVALID.
 */
export function requirePayloadQuery(schema: GraphQLSchema, selection: string): void {
  if (selection.length > limits.webhook.payloadQueryMax)
    throw invalid(`It has more than ${limits.webhook.payloadQueryMax} characters.`);
  const [error] = validate(
    schema,
    documentOf(selection),
    [...specifiedRules, boundsRule],
    validationOptions,
  );
  if (error) throw invalid(error.message);
}

/**
 * The selected parts of a run. Throws AppError INVALID where the selection does not fit the schema
 * any more.
 */
export async function runPayloadQuery(
  schema: GraphQLSchema,
  selection: string,
  { runId, context }: { runId: string; context: PayloadContext },
) {
  requirePayloadQuery(schema, selection);
  const document = documentOf(selection);
  const { data, errors } = await execute({
    schema,
    document,
    contextValue: context,
    variableValues: { id: runId },
  });
  const [error] = errors ?? [];
  if (error) throw new Error(publicError(error, context).message, { cause: error });
  return data?.run;
}

/**
 * The selection as that of one run; what is more than a selection set is refused, so that it cannot
 * break out of its place.
 */
function documentOf(selection: string) {
  const inner = selectionIn(selection);
  const outer = parse("query Payload($id: ID!) { run(id: $id) { id } }", { noLocation: true });
  const definitions = outer.definitions.map((definition) => {
    if (definition.kind !== Kind.OPERATION_DEFINITION) return definition;
    const selections = definition.selectionSet.selections.map((field) => ({
      ...field,
      selectionSet: inner,
    }));
    return { ...definition, selectionSet: { ...definition.selectionSet, selections } };
  });
  return { ...outer, definitions };
}

function selectionIn(text: string): SelectionSetNode {
  const document = (() => {
    try {
      return parse(text, { ...parseOptions, noLocation: true });
    } catch (error) {
      throw invalid(error instanceof Error ? error.message : String(error));
    }
  })();
  const [only, ...others] = document.definitions;
  const isSelection = text.trimStart().startsWith("{") && others.length === 0;
  if (isSelection && only?.kind === Kind.OPERATION_DEFINITION) return only.selectionSet;
  throw invalid("It is not one selection in braces.");
}

function invalid(reason: string): AppError {
  return new AppError("INVALID", `The payload query cannot be taken: ${reason}`, {
    path: ["payloadQuery"],
    fix: "Give a selection on Run in braces, such as { id status metadata }.",
  });
}
