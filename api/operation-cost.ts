import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLError,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLSchema,
  getDirectiveValues,
  getNamedType,
  getOperationAST,
  isInterfaceType,
  isObjectType,
  Kind,
  type SelectionSetNode,
  valueFromASTUntyped,
} from "graphql";
import { limits } from "../core/limits.ts";

/** An operation as it came: validated, its variables not coerced yet. */
export interface CostedOperation {
  readonly document: DocumentNode;
  readonly operationName?: string | null | undefined;
  readonly variables?: Readonly<Record<string, unknown>> | null | undefined;
}

/**
 * What an operation costs, from its text alone: the `@cost` of every field that it selects, those
 * of a list's items as often as the list is long at most (`@listSize`). Aliases and fragments count
 * each time; `@skip` and `@include` spare nothing. The directives are those of
 * https://ibm.github.io/graphql-specs/cost-spec.html, except that a field without `@cost` costs
 * nothing, for it shows what another one has read.
 */
export function operationCost(schema: GraphQLSchema, operation: CostedOperation): number {
  const { document, operationName, variables } = operation;
  const asked = getOperationAST(document, operationName);
  const root = asked && schema.getRootType(asked.operation);
  if (!root) return 0;
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const node of document.definitions)
    if (node.kind === Kind.FRAGMENT_DEFINITION) fragments.set(node.name.value, node);
  const defaults = (asked.variableDefinitions ?? []).flatMap(({ variable, defaultValue }) =>
    defaultValue ? [[variable.name.value, valueFromASTUntyped(defaultValue)]] : [],
  );
  // Without a prototype: a variable called constructor that is not given has no value.
  const given = Object.assign(Object.create(null), Object.fromEntries(defaults), variables);
  return selectionCost(asked.selectionSet, root, {
    reading: { schema, fragments, variables: given, measured: new Map() },
    sized: null,
  });
}

/**
 * Throws GraphQLError COST_EXCEEDED, with `extensions.cost` and `costMax`, for an operation above
 * the bound.
 */
export function requireCost(schema: GraphQLSchema, operation: CostedOperation): void {
  const cost = operationCost(schema, operation);
  const { costMax } = limits.request;
  if (cost <= costMax) return;
  const message = `The operation costs ${cost}; at most ${costMax} are allowed.`;
  throw new GraphQLError(`${message} Ask for shorter lists, or for fewer fields with a cost.`, {
    extensions: { code: "COST_EXCEEDED", cost, costMax, http: { status: 400 } },
  });
}

/**
 * Appends each field's cost to its description, which introspection shows. Changes the schema in
 * place, once.
 */
export function describeCosts(schema: GraphQLSchema): GraphQLSchema {
  for (const type of Object.values(schema.getTypeMap()).filter(isObjectType))
    for (const field of Object.values(type.getFields())) {
      const { weight } = priceOf(schema, field);
      if (weight > 0) field.description = `${field.description ?? ""} Cost: ${weight}.`.trim();
    }
  return schema;
}

interface Reading {
  readonly schema: GraphQLSchema;
  readonly fragments: ReadonlyMap<string, FragmentDefinitionNode>;
  readonly variables: Readonly<Record<string, unknown>>;
  /** By fragment and list size, so that fragments that spread one another twice are walked once. */
  readonly measured: Map<string, number>;
}

interface Place {
  readonly reading: Reading;
  /** The fields here that are lists, and how long they are. */
  readonly sized: { readonly fields: readonly string[]; readonly size: number } | null;
}

function selectionCost(set: SelectionSetNode, type: GraphQLNamedType, place: Place): number {
  let sum = 0;
  for (const node of set.selections) {
    if (node.kind === Kind.FIELD) sum += fieldCost(node, type, place);
    else if (node.kind === Kind.FRAGMENT_SPREAD) sum += fragmentCost(node.name.value, place);
    else {
      const inner = node.typeCondition?.name.value;
      const named = inner === undefined ? type : place.reading.schema.getType(inner);
      if (named) sum += selectionCost(node.selectionSet, named, place);
    }
  }
  return sum;
}

function fragmentCost(name: string, place: Place): number {
  const { fragments, measured, schema } = place.reading;
  const key = `${name} ${place.sized?.fields.join()} ${place.sized?.size}`;
  const known = measured.get(key);
  if (known !== undefined) return known;
  const fragment = fragments.get(name);
  const type = fragment && schema.getType(fragment.typeCondition.name.value);
  const cost = fragment && type ? selectionCost(fragment.selectionSet, type, place) : 0;
  measured.set(key, cost);
  return cost;
}

function fieldCost(node: FieldNode, type: GraphQLNamedType, { reading, sized }: Place): number {
  if (!isObjectType(type) && !isInterfaceType(type)) return 0;
  const name = node.name.value;
  const field = type.getFields()[name];
  if (!field) return 0; // introspection, which graphql-js bounds
  const times = sized?.fields.includes(name) ? sized.size : 1;
  const { weight, list } = priceOf(reading.schema, field);
  const size = list ? listSize(node, field, { reading, list }) : 1;
  const isOfConnection = list !== null && list.sizedFields.length > 0;
  const inner =
    node.selectionSet === undefined
      ? 0
      : selectionCost(node.selectionSet, getNamedType(field.type), {
          reading,
          sized: isOfConnection ? { fields: list.sizedFields, size } : null,
        });
  return times * (weight + (isOfConnection ? inner : size * inner));
}

interface ListPrice {
  readonly assumedSize: number;
  readonly slicingArguments: readonly string[];
  readonly sizedFields: readonly string[];
}

function priceOf(
  schema: GraphQLSchema,
  { astNode }: GraphQLField<unknown, unknown>,
): { weight: number; list: ListPrice | null } {
  const [cost, list] = [schema.getDirective("cost"), schema.getDirective("listSize")];
  if (!cost || !list) throw new Error("The schema has no @cost or no @listSize.");
  if (!astNode) return { weight: 0, list: null };
  const { weight = "0" } = getDirectiveValues(cost, astNode) ?? {};
  const sizes = getDirectiveValues(list, astNode) as Partial<ListPrice> | undefined;
  return {
    weight: Number(weight),
    list: sizes ? { assumedSize: 1, slicingArguments: [], sizedFields: [], ...sizes } : null,
  };
}

/**
 * How long a list can be at most. No page is longer than `limits.page.firstMax`: the resolver
 * refuses to read one.
 */
function listSize(
  node: FieldNode,
  field: GraphQLField<unknown, unknown>,
  { reading, list }: { reading: Reading; list: ListPrice },
): number {
  const sizes = list.slicingArguments.map((name) => {
    const given = node.arguments?.find((argument) => argument.name.value === name)?.value;
    const value = given && valueFromASTUntyped(given, reading.variables);
    return value ?? field.args.find((argument) => argument.name === name)?.defaultValue;
  });
  const [size = list.assumedSize] = sizes.filter((each) => typeof each === "number");
  return list.slicingArguments.length === 0
    ? list.assumedSize
    : Math.min(Math.max(size, 0), limits.page.firstMax);
}
