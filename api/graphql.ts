import { ApolloServer, type ApolloServerPlugin, HeaderMap } from "@apollo/server";
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from "@apollo/server/plugin/disabled";
import { GraphQLError, type GraphQLSchema } from "graphql";
import { costOf } from "./budget.ts";
import type { Log, RequestContext } from "./context.ts";
import { boundsRule, executionOptions, parseOptions, validationOptions } from "./guards.ts";
import { requireCost } from "./operation-cost.ts";
import { publicError } from "./public-error.ts";
import type { GraphqlRequest } from "./request-body.ts";

export interface GraphqlServer {
  /** Answers a query or mutation. */
  execute(
    request: GraphqlRequest,
    options: { context: RequestContext; accept: string | null },
  ): Promise<Response>;
  close(): Promise<void>;
}

/**
 * Queries and mutations on Apollo Server, with everything off that would phone home, cache, batch
 * or explain itself.
 */
export async function startGraphqlServer(schema: GraphQLSchema, log: Log): Promise<GraphqlServer> {
  const apollo = new ApolloServer<RequestContext>({
    schema,
    parseOptions,
    validationOptions,
    executionOptions,
    validationRules: [boundsRule],
    introspection: true, // with a key only: authentication comes before parsing
    allowBatchedHttpRequests: false,
    persistedQueries: false,
    includeStacktraceInErrorResponses: false,
    stopOnTerminationSignals: false,
    nodeEnv: "production",
    logger: apolloLogger(log),
    plugins: [
      publicAnswers,
      ApolloServerPluginCacheControlDisabled(),
      ApolloServerPluginInlineTraceDisabled(),
      ApolloServerPluginLandingPageDisabled(),
      ApolloServerPluginSchemaReportingDisabled(),
      ApolloServerPluginUsageReportingDisabled(),
    ],
  });
  await apollo.start();
  return {
    async execute(request, { context, accept }) {
      const headers = new HeaderMap([["content-type", "application/json"]]);
      if (accept !== null) headers.set("accept", accept);
      const answer = await apollo.executeHTTPGraphQLRequest({
        httpGraphQLRequest: { method: "POST", headers, search: "", body: request },
        context: async () => context,
      });
      if (answer.body.kind !== "complete")
        throw new Error("An answer in parts, which nothing here asks for.");
      return new Response(answer.body.string, {
        status: answer.status ?? 200,
        headers: [...answer.headers],
      });
    },
    close: () => apollo.stop(),
  };
}

const publicAnswers: ApolloServerPlugin<RequestContext> = {
  requestDidStart: async () => ({
    async didResolveOperation({ operation, document, operationName, request, schema }) {
      if (operation?.operation !== "subscription")
        return requireCost(schema, { document, operationName, variables: request.variables });
      throw new GraphQLError("Subscriptions are served at /graphql/stream.", {
        extensions: { code: "BAD_REQUEST", http: { status: 400 } },
      });
    },
    /**
     * Apollo takes status and headers from any error's extensions; those of errors thrown in
     * resolvers are nobody's to set.
     */
    async didEncounterErrors({ errors }) {
      for (const error of errors) if (error.path) delete error.extensions?.http;
    },
    async willSendResponse({ contextValue, errors, response }) {
      if (response.body.kind !== "single") return;
      const told = errors && { errors: errors.map((error) => publicError(error, contextValue)) };
      const extensions = contextValue.cost.requested > 0 && {
        extensions: { cost: await costOf(contextValue) },
      };
      response.body = {
        kind: "single",
        singleResult: { ...response.body.singleResult, ...told, ...extensions },
      };
    },
  }),
};

function apolloLogger(log: Log) {
  const write = (message: unknown) => log.error({ from: "apollo" }, String(message));
  return { debug() {}, info() {}, warn: write, error: write };
}
