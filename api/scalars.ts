import { GraphQLError, type ValueNode, valueFromASTUntyped } from "graphql";

/**
 * A URL that cannot be used is told as a userErrors entry, not here, where it would be a top-level
 * error.
 */
export const scalars = {
  DateTime: {
    serialize(value: unknown): string {
      if (typeof value !== "number")
        throw new TypeError("A DateTime is resolved from milliseconds since 1970.");
      return new Date(value).toISOString();
    },
    parseValue: instantOf,
    parseLiteral: (node: ValueNode) => instantOf(valueFromASTUntyped(node)),
  },
  URL: {
    parseValue: textOf,
    parseLiteral: (node: ValueNode) => textOf(valueFromASTUntyped(node)),
  },
};

/** Milliseconds since 1970. */
function instantOf(value: unknown): number {
  const at =
    typeof value === "string" && /^\d{4}-\d\d-\d\dT.+(Z|[+-]\d\d:\d\d)$/.test(value)
      ? Date.parse(value)
      : Number.NaN;
  if (Number.isNaN(at))
    throw new GraphQLError(
      "A DateTime is an instant in ISO 8601 with its offset: 2026-01-31T12:00:00Z.",
    );
  return at;
}

function textOf(value: unknown): string {
  if (typeof value !== "string") throw new GraphQLError("A URL is a string.");
  return value;
}
