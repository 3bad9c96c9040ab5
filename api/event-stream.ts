import {
  type ExecutionResult,
  type FormattedExecutionResult,
  GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  parse,
  specifiedRules,
  subscribe,
  validate,
} from "graphql";
import { AppError } from "../core/errors.ts";
import type { RequestContext } from "./context.ts";
import { boundsRule, executionOptions, parseOptions, validationOptions } from "./guards.ts";
import { requireCost } from "./operation-cost.ts";
import { publicError } from "./public-error.ts";
import type { GraphqlRequest } from "./request-body.ts";

/** Proxies cut connections that are silent for longer. */
const pingMs = 12_000;

/**
 * Answers a subscription as server-sent events: graphql-sse's "distinct connections mode", one
 * connection for each operation. The rules are those of queries; a request that breaks one gets its
 * errors as the only event. The stream breaks off, without `complete`, when `context.signal` is
 * aborted; it ends with an error and `complete` when the key admits nobody any more.
 */
export function answerAsEvents(
  schema: GraphQLSchema,
  request: GraphqlRequest,
  context: RequestContext,
): Response {
  const results = answer(schema, request, context);
  const encoder = new TextEncoder();
  let ping: NodeJS.Timeout | undefined;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      const comment = encoder.encode(":\n\n");
      controller.enqueue(comment); // some clients take a stream as open only when its first bytes come
      ping = setInterval(() => {
        // Null: the stream has failed. Zero or less: the reader has yet to take what is there.
        if (controller.desiredSize === null) clearInterval(ping);
        else if (controller.desiredSize > 0) controller.enqueue(comment);
      }, pingMs);
    },
    async pull(controller) {
      try {
        const { value, done } = await results.next();
        controller.enqueue(
          encoder.encode(
            done ? "event: complete\ndata:\n\n" : `event: next\ndata: ${JSON.stringify(value)}\n\n`,
          ),
        );
        if (!done) return;
        clearInterval(ping);
        controller.close();
      } catch (error) {
        clearInterval(ping);
        throw error;
      }
    },
    async cancel() {
      clearInterval(ping);
      await results.return();
    },
  });
  return new Response(body, {
    headers: {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store, no-transform",
    },
  });
}

async function* answer(
  schema: GraphQLSchema,
  request: GraphqlRequest,
  context: RequestContext,
): AsyncGenerator<FormattedExecutionResult, void> {
  const results = await start(schema, request, context);
  if (!(Symbol.asyncIterator in results)) return yield shown(results, context);
  try {
    for await (const result of results) yield shown(result, context);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    yield shown({ errors: [error] }, context);
  }
}

async function start(
  schema: GraphQLSchema,
  { query, operationName, variables }: GraphqlRequest,
  contextValue: RequestContext,
) {
  try {
    const document = parse(query, parseOptions);
    const errors = validate(schema, document, [...specifiedRules, boundsRule], validationOptions);
    if (errors.length > 0) return { errors };
    if (getOperationAST(document, operationName)?.operation !== "subscription") {
      throw new GraphQLError(
        "Only a subscription is served here; send queries and mutations to /graphql.",
        {
          extensions: { code: "BAD_REQUEST" },
        },
      );
    }
    requireCost(schema, { document, operationName, variables });
    return await subscribe({
      schema,
      document,
      operationName,
      variableValues: variables,
      contextValue,
      options: executionOptions,
    });
  } catch (error) {
    if (error instanceof Error) return { errors: [error] };
    throw error;
  }
}

function shown(
  { errors, ...result }: Omit<ExecutionResult, "errors"> & { errors?: readonly Error[] },
  context: RequestContext,
): FormattedExecutionResult {
  return {
    ...result,
    ...(errors && { errors: errors.map((error) => publicError(error, context)) }),
  };
}
