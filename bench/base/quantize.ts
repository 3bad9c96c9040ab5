import { join } from "node:path";
import protobuf from "protobufjs";
import { packageRoot } from "../../adapters/package-root.ts";

/**
 * An imitation of the public q8 files. Those are made by ONNX Runtime's dynamic quantization: each
 * weight gets one scale, each activation one scale while it runs, and a linear layer becomes
 * DynamicQuantizeLinear and MatMulInteger; the table of embeddings is stored in 8 bits. Weights are
 * int8; where a graph has convolutions they are uint8 and the convolutions are quantized too
 * (ConvInteger), because ConvInteger has no int8 weights. The operators are the real files', the
 * calibration of their scales is not checked against them.
 */
export function quantize(model: Uint8Array): Uint8Array {
  const message = ModelProto.toObject(ModelProto.decode(model), { longs: Number }) as Model;
  const weights = new Weights(
    message.graph.initializer ?? [],
    hasConvolution(message.graph) ? "uint8" : "int8",
  );
  const node = rewritten(message.graph.node, weights);
  const graph = { ...message.graph, node, initializer: weights.used(node) };
  return ModelProto.encode({ ...message, graph }).finish();
}

interface Model {
  readonly graph: Graph;
}
interface Graph {
  readonly node: readonly Node[];
  readonly initializer?: readonly Tensor[];
}
interface Node {
  readonly op_type: string;
  readonly name?: string;
  readonly input?: readonly string[];
  readonly output?: readonly string[];
  readonly attribute?: readonly { readonly name: string; readonly g?: Graph }[];
}
interface Tensor {
  readonly name: string;
  readonly dims?: readonly number[];
  readonly data_type: number;
  readonly raw_data?: Uint8Array;
}
type Kind = "int8" | "uint8";

const ModelProto = new protobuf.Root()
  .loadSync(join(packageRoot(), "inference/build/onnx/onnx.proto"), { keepCase: true })
  .lookupType("onnx.ModelProto");
const codes = { float32: 1, uint8: 2, int8: 3, int64: 7 } as const;

/** The weights of a graph, quantized when they are first asked for. */
class Weights {
  readonly #floats: ReadonlyMap<string, Tensor>;
  readonly #made = new Map<string, Tensor>();
  readonly kind: Kind;

  constructor(initializers: readonly Tensor[], kind: Kind) {
    this.#floats = new Map(initializers.map((tensor) => [tensor.name, tensor]));
    this.kind = kind;
  }

  /**
   * Names of a float32 weight's values, scale and zero point in 8 bits; null where this is no
   * weight of two dimensions or more.
   */
  quantized(name: string | undefined): { values: string; scale: string; zero: string } | null {
    const tensor = this.#floats.get(name ?? "");
    if (tensor?.data_type !== codes.float32 || !tensor.raw_data || (tensor.dims?.length ?? 0) < 2)
      return null;
    const names = {
      values: `${name}_quantized`,
      scale: `${name}_scale`,
      zero: `${name}_zero_point`,
    };
    if (!this.#made.has(names.values)) {
      const { values, scale, zero } = inEightBits(floatsOf(tensor.raw_data), this.kind);
      this.#add(names.values, this.kind, tensor.dims ?? [], values);
      this.#add(names.scale, "float32", [], Float32Array.of(scale));
      this.#add(
        names.zero,
        this.kind,
        [],
        this.kind === "int8" ? Int8Array.of(zero) : Uint8Array.of(zero),
      );
    }
    return names;
  }

  /** A constant for a Reshape. */
  shape(values: readonly number[]): string {
    const name = `shape_${values.join("_")}`;
    this.#add(name, "int64", [values.length], BigInt64Array.from(values, BigInt));
    return name;
  }

  /** What these operators still need. */
  used(nodes: readonly Node[]): Tensor[] {
    const names = new Set(inputsOf(nodes));
    return [...this.#floats.values(), ...this.#made.values()].filter(({ name }) => names.has(name));
  }

  #add(
    name: string,
    element: keyof typeof codes,
    dims: readonly number[],
    data: ArrayBufferView,
  ): void {
    const raw_data = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.#made.set(name, { name, dims, data_type: codes[element], raw_data });
  }
}

/**
 * int8: symmetric about 0; uint8: the whole range from the least to the largest value, 0 among
 * them.
 */
function inEightBits(
  floats: Float32Array,
  kind: Kind,
): { values: Int8Array | Uint8Array; scale: number; zero: number } {
  let [least, most] = [0, 0];
  for (const value of floats) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  const range = kind === "int8" ? 2 * Math.max(-least, most) : most - least;
  const scale = range > 0 ? range / (kind === "int8" ? 254 : 255) : 1;
  const zero = kind === "int8" ? 0 : Math.round(-least / scale);
  const values = kind === "int8" ? new Int8Array(floats.length) : new Uint8Array(floats.length);
  const [lowest, highest] = kind === "int8" ? [-127, 127] : [0, 255];
  for (let i = 0; i < floats.length; i += 1)
    values[i] = Math.max(lowest, Math.min(highest, Math.round((floats[i] ?? 0) / scale) + zero));
  return { values, scale, zero };
}

/** The operators of one scope, in an order in which every value stands before its use. */
function rewritten(nodes: readonly Node[], weights: Weights): Node[] {
  const activations = new Map<string, { values: string; scale: string; zero: string }>();
  const made: Node[] = [];
  const add = (
    op_type: string,
    input: string[],
    output: string[],
    attribute: Node["attribute"] = [],
  ) => {
    made.push({ op_type, name: `${op_type}_${output[0]}`, input, output, attribute });
  };
  const activation = (name: string) => {
    const known = activations.get(name);
    if (known) return known;
    const names = {
      values: `${name}_quantized`,
      scale: `${name}_scale`,
      zero: `${name}_zero_point`,
    };
    add("DynamicQuantizeLinear", [name], [names.values, names.scale, names.zero]);
    activations.set(name, names);
    return names;
  };
  for (const node of nodes) {
    const { op_type, attribute = [] } = node;
    const [x = "", y = "", bias] = node.input ?? [];
    const [out = ""] = node.output ?? [];
    const isProduct = op_type === "MatMul" || (op_type === "Conv" && weights.kind === "uint8");
    const weight = isProduct
      ? weights.quantized(y)
      : op_type === "Gather"
        ? weights.quantized(x)
        : null;
    if (!weight) {
      made.push({
        ...node,
        attribute: attribute.map((each) =>
          each.g ? { ...each, g: { ...each.g, node: rewritten(each.g.node, weights) } } : each,
        ),
      });
    } else if (op_type === "Gather") {
      add("Gather", [weight.values, y], [`${out}_quantized`], attribute);
      add("DequantizeLinear", [`${out}_quantized`, weight.scale, weight.zero], [out]);
    } else {
      const from = activation(x);
      add(
        `${op_type}Integer`,
        [from.values, weight.values, from.zero, weight.zero],
        [`${out}_integer`],
        attribute,
      );
      add("Cast", [`${out}_integer`], [`${out}_cast`], [toFloat]);
      add("Mul", [from.scale, weight.scale], [`${out}_scales`]);
      add("Mul", [`${out}_cast`, `${out}_scales`], [bias ? `${out}_product` : out]);
      if (bias) {
        add("Reshape", [bias, weights.shape([1, -1, 1, 1])], [`${out}_bias`]);
        add("Add", [`${out}_product`, `${out}_bias`], [out]);
      }
    }
  }
  return made;
}

const toFloat = { name: "to", type: 2, i: codes.float32 };

function hasConvolution({ node }: Graph): boolean {
  return node.some(({ op_type }) => op_type === "Conv");
}

function inputsOf(nodes: readonly Node[]): string[] {
  return nodes.flatMap(({ input = [], attribute = [] }) => [
    ...input,
    ...attribute.flatMap(({ g }) => (g ? inputsOf(g.node) : [])),
  ]);
}

/** Weights lie anywhere in a file; numbers of four bytes must begin at a multiple of four. */
function floatsOf(raw: Uint8Array): Float32Array {
  const { buffer } = Uint8Array.from(raw);
  return new Float32Array(buffer);
}
