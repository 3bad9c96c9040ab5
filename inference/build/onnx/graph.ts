/** The name of a value inside a graph. */
export type Name = string;

/** Element types that Florence-2's graphs are made of, with ONNX's number and size in bytes. */
export const elements = {
  float32: { code: 1, bytes: 4 },
  uint8: { code: 2, bytes: 1 },
  int8: { code: 3, bytes: 1 },
  int32: { code: 6, bytes: 4 },
  int64: { code: 7, bytes: 8 },
  bool: { code: 9, bytes: 1 },
  float16: { code: 10, bytes: 2 },
} as const;
export type Element = keyof typeof elements;

/**
 * A constant of a graph whose values are computed when the graph is written, one constant at a
 * time.
 */
export interface Weight {
  readonly element: Element;
  readonly dims: readonly number[];
  /** Little-endian, row-major. */
  read(): Promise<Uint8Array>;
}

/**
 * An integer, integers, a text, a branch of an If; a floating point number must say that it is one.
 */
export type Attribute =
  | number
  | readonly number[]
  | string
  | { readonly float: number }
  | { readonly graph: Branch };

export interface Operator {
  readonly type: string;
  /** Empty for ONNX's own operators. */
  readonly domain: "" | "com.microsoft";
  readonly inputs: readonly Name[];
  readonly outputs: readonly Name[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** A value that goes in or out; a text in the place of a size names a free dimension. */
export interface Port {
  readonly name: Name;
  readonly element: Element;
  readonly dims: readonly (number | string)[];
}

/** Operators with an output each, which may use every value of the graph around them. */
export interface Branch {
  readonly operators: readonly Operator[];
  readonly outputs: readonly Port[];
}

export interface Graph extends Branch {
  readonly inputs: readonly Port[];
  readonly weights: readonly (Weight & { readonly name: Name })[];
}

type Attributes = Readonly<Record<string, Attribute>>;

/** Operators of one scope: a graph or a branch of an If. */
export interface Scope {
  /** Adds an ONNX operator; returns its only output. "" leaves an optional input out. */
  op(type: string, inputs: readonly Name[], attributes?: Attributes): Name;
  /** Adds an ONNX operator with several outputs. */
  split(type: string, inputs: readonly Name[], count: number, attributes?: Attributes): Name[];
  /** Adds an operator of ONNX Runtime's own (domain com.microsoft); returns its first output. */
  contrib(type: string, inputs: readonly Name[], attributes?: Attributes): Name;
  weight(weight: Weight): Name;
  /** A constant of small size; equal ones are kept once. */
  int64(...values: number[]): Name;
  float32(values: readonly number[], dims?: readonly number[]): Name;
  output(
    name: Name,
    value: Name,
    type: { element: Element; dims: readonly (number | string)[] },
  ): void;
}

/** A graph in the making, in operator set 17 and com.microsoft 1. */
export interface GraphBuilder extends Scope {
  input(name: Name, type: { element: Element; dims: readonly (number | string)[] }): Name;
  /** Makes a branch for an If's attribute; its weights become the graph's. */
  branch(make: (scope: Scope) => void): { readonly graph: Branch };
  done(): Graph;
}

/** Starts an empty graph. */
export function buildGraph(): GraphBuilder {
  const inputs: Port[] = [];
  const weights: (Weight & { name: Name })[] = [];
  const constants = new Map<string, Name>();
  let count = 0;
  const fresh = () => `v${count++}`;

  function weight(weight: Weight): Name {
    const name = `w${weights.length}`;
    weights.push({ ...weight, name });
    return name;
  }
  function constant(
    element: "int64" | "float32",
    values: readonly number[],
    dims: readonly number[],
  ): Name {
    const key = `${element} ${dims} ${values}`;
    const known = constants.get(key);
    if (known) return known;
    const data =
      element === "int64" ? BigInt64Array.from(values, BigInt) : Float32Array.from(values);
    const name = weight({ element, dims, read: async () => new Uint8Array(data.buffer) });
    constants.set(key, name);
    return name;
  }

  function scope(): { scope: Scope; branch: () => Branch } {
    const operators: Operator[] = [];
    const outputs: (Port & { readonly value: Name })[] = [];
    const add = (
      domain: Operator["domain"],
      type: string,
      operands: readonly Name[],
      count: number,
      attributes: Attributes = {},
    ) => {
      const names = Array.from({ length: count }, fresh);
      operators.push({ type, domain, inputs: operands, outputs: names, attributes });
      return names;
    };
    const only = ([name = ""]: readonly Name[]) => name;
    return {
      scope: {
        op: (type, operands, attributes) => only(add("", type, operands, 1, attributes)),
        split: (type, operands, count, attributes) => add("", type, operands, count, attributes),
        contrib: (type, operands, attributes) =>
          only(add("com.microsoft", type, operands, 1, attributes)),
        weight,
        int64: (...values) => constant("int64", values, [values.length]),
        float32: (values, dims = [values.length]) => constant("float32", values, dims),
        output: (name, value, { element, dims }) => outputs.push({ name, element, dims, value }),
      },
      branch: () => named(operators, outputs),
    };
  }

  const root = scope();
  return {
    ...root.scope,
    input(name, { element, dims }) {
      inputs.push({ name, element, dims });
      return name;
    },
    branch(make) {
      const inner = scope();
      make(inner.scope);
      return { graph: inner.branch() };
    },
    done: () => ({ inputs, weights, ...root.branch() }),
  };
}

/** Gives the values that go out their public names. */
function named(
  operators: readonly Operator[],
  outputs: readonly (Port & { readonly value: Name })[],
): Branch {
  const publicName = new Map(outputs.map(({ value, name }) => [value, name]));
  const rename = (name: Name) => publicName.get(name) ?? name;
  return {
    operators: operators.map((operator) => ({
      ...operator,
      inputs: operator.inputs.map(rename),
      outputs: operator.outputs.map(rename),
    })),
    outputs: outputs.map(({ name, element, dims }) => ({ name, element, dims })),
  };
}
