import { GraphQLError, type GraphQLFormattedError } from "graphql";
import { AppError } from "../core/errors.ts";
import type { RequestContext } from "./context.ts";
import { isUserErrorCode } from "./user-errors.ts";

const messageLengthMax = 500;

/**
 * An error as the caller may read it. Errors of the request itself, and AppErrors that a caller can
 * mend, are shown; everything else is logged and shown as "Internal error" under the request's id.
 * Nothing shown suggests a name of the schema ("Did you mean …") or repeats a large input.
 */
export function publicError(
  error: Error,
  { requestId, log }: Pick<RequestContext, "requestId" | "log">,
): GraphQLFormattedError {
  const cause = error instanceof GraphQLError ? error.originalError : error;
  const where = error instanceof GraphQLError ? placeOf(error) : {};
  const isShown =
    cause instanceof AppError && (isUserErrorCode(cause.code) || cause.code === "UNAUTHENTICATED");
  if (isShown) {
    return {
      message: cause.message,
      ...where,
      extensions: { code: cause.code, ...(cause.fix !== null && { fix: cause.fix }) },
    };
  }
  if (error instanceof GraphQLError && isOfRequest(error)) {
    const code =
      error.extensions.code ?? (error.path ? "BAD_USER_INPUT" : "GRAPHQL_VALIDATION_FAILED");
    const { cost, costMax } = error.extensions;
    const bound = code === "COST_EXCEEDED" ? { cost, costMax } : {};
    return { message: withoutDetails(error.message), ...where, extensions: { code, ...bound } };
  }
  log.error({ requestId, ...where, err: cause ?? error }, "a resolver failed");
  if (cause instanceof AppError && cause.code === "STORE_UNAVAILABLE")
    return { message: storeUnavailable, ...where, extensions: { code: cause.code, requestId } };
  return { message: "Internal error", ...where, extensions: { code: "INTERNAL", requestId } };
}

/**
 * Without the error's own words, which name files of this machine; /readyz and the log tell them.
 */
export const storeUnavailable =
  "Nothing can be stored at the moment. Try again later; the operator sees the reason at /readyz.";

function placeOf({
  locations,
  path,
}: GraphQLError): Pick<GraphQLFormattedError, "locations" | "path"> {
  return { ...(locations && { locations }), ...(path && { path }) };
}

/**
 * Whether graphql-js refused the request itself: the document or its variables (no path yet), or an
 * argument (it names the argument's nodes; an output value that does not fit its type names none).
 */
function isOfRequest(error: GraphQLError): boolean {
  if (!error.path) return true;
  const cause = error.originalError;
  return (
    cause instanceof GraphQLError &&
    cause.originalError === undefined &&
    (cause.nodes?.length ?? 0) > 0
  );
}

function withoutDetails(message: string): string {
  const text = message.replace(/ ?Did you mean .*$/s, "");
  return text.length > messageLengthMax ? `${text.slice(0, messageLengthMax)}…` : text;
}
