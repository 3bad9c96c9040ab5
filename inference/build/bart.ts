import type { Checkpoint } from "./checkpoint.ts";
import type { Name, Scope } from "./onnx/graph.ts";
import type { Arithmetic } from "./precision.ts";
import { beside, scaled, type Tensor, transposed } from "./tensor.ts";

/**
 * What BART's encoder and decoder have in common, written into one graph. D is the width, H the
 * heads.
 */
export interface Bart {
  /** A learned constant as it is in the checkpoint; `name` from the side's own names down. */
  tensor(name: string, dims: readonly number[]): Tensor;
  weight(name: string, dims: readonly number[]): Name;
  linear(
    x: Name,
    layers: readonly string[],
    size: { from: number; to: number; scale?: number },
  ): Name;
  /** LayerNorm(x). */
  norm(x: Name, name: string): Name;
  /** LayerNorm(x + W y + b), for y [..., from]. */
  joinNorm(x: Name, y: Name, names: { linear: string; norm: string; from: number }): Name;
  /** LayerNorm(x + MLP(x)). */
  feed(x: Name, layer: string, middle: number): Name;
}

const epsilon = { float: 1e-5 };
const root = "model.language_model";

/** The parts of one side, `encoder` or `decoder`. */
export function bart(
  scope: Scope,
  parts: {
    checkpoint: Checkpoint;
    arithmetic: Arithmetic;
    side: "encoder" | "decoder";
    width: number;
  },
): Bart {
  const { checkpoint, arithmetic, side, width } = parts;
  const tensor: Bart["tensor"] = (name, dims) => checkpoint.take(`${root}.${side}.${name}`, dims);
  const weight: Bart["weight"] = (name, dims) => arithmetic.weight(scope, tensor(name, dims));
  const matrix = (name: string, from: number, to: number) =>
    transposed(tensor(`${name}.weight`, [to, from]));
  const affine = (name: string) => [
    weight(`${name}.weight`, [width]),
    weight(`${name}.bias`, [width]),
  ];

  function joinNorm(x: Name, y: Name, names: { linear: string; norm: string; from: number }): Name {
    const added = arithmetic.linear(scope, y, {
      weight: matrix(names.linear, names.from, width),
      bias: null,
    });
    return scope.contrib(
      "SkipLayerNormalization",
      [added, x, ...affine(names.norm), weight(`${names.linear}.bias`, [width])],
      { epsilon },
    );
  }
  return {
    tensor,
    weight,
    linear(x, layers, { from, to, scale = 1 }) {
      const weights = layers.map((name) => matrix(name, from, to));
      const biases = layers.map((name) => tensor(`${name}.bias`, [to]));
      const first = <T extends Tensor>([head, ...rest]: T[]) =>
        beside(...(head ? [scale === 1 ? head : scaled(head, scale), ...rest] : []));
      return arithmetic.linear(scope, x, { weight: first(weights), bias: first(biases) });
    },
    norm: (x, name) => scope.op("LayerNormalization", [x, ...affine(name)], { axis: -1, epsilon }),
    joinNorm,
    feed(x, layer, middle) {
      const first = {
        weight: matrix(`${layer}.fc1`, width, middle),
        bias: tensor(`${layer}.fc1.bias`, [middle]),
      };
      const bent = scope.contrib("Gelu", [arithmetic.linear(scope, x, first)]);
      return joinNorm(x, bent, {
        linear: `${layer}.fc2`,
        norm: `${layer}.final_layer_norm`,
        from: middle,
      });
    },
  };
}

/** 0 where a key may be seen, -Infinity where not: [Q, 1, 1, L] from a mask [Q, L]. */
export function maskBias(scope: Scope, arithmetic: Arithmetic, mask: Name): Name {
  const constant = (value: number) =>
    arithmetic.weight(scope, { dims: [1], values: async () => Float32Array.of(value) });
  const seen = scope.op("Cast", [scope.op("Unsqueeze", [mask, scope.int64(1, 2)])], { to: 9 }); // bool
  return scope.op("Where", [seen, constant(0), constant(Number.NEGATIVE_INFINITY)]);
}

/** [Q, T, D] as [Q, H, T, D / H]. */
export function splitHeads(scope: Scope, x: Name, shape: { heads: number; width: number }): Name {
  const parted = scope.op("Reshape", [
    x,
    scope.int64(0, -1, shape.heads, shape.width / shape.heads),
  ]);
  return scope.op("Transpose", [parted], { perm: [0, 2, 1, 3] });
}

/** The shared embedding of all tokens, [V, D]. */
export function sharedEmbedding(checkpoint: Checkpoint, vocabulary: number, width: number): Tensor {
  return checkpoint.take(`${root}.shared.weight`, [vocabulary, width]);
}
