import { GraphQLError, type ValueNode, valueFromASTUntyped } from "graphql";

/** DateTime goes out only. A URL that cannot be used is told as a userErrors entry, not here, where it would be a top-level error. */
export const scalars = {
  DateTime: {
    serialize(value: unknown): string {
      if (typeof value !== "number") throw new TypeError("A DateTime is resolved from milliseconds since 1970.");
      return new Date(value).toISOString();
    },
  },
  URL: {
    parseValue: textOf,
    parseLiteral: (node: ValueNode) => textOf(valueFromASTUntyped(node)),
  },
};

function textOf(value: unknown): string {
  if (typeof value !== "string") throw new GraphQLError("A URL is a string.");
  return value;
}
