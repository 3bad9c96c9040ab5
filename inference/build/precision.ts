import type { Element, Name, Scope } from "./onnx/graph.ts";
import type { Tensor } from "./tensor.ts";

/** How a graph's numbers are stored and multiplied. */
export interface Arithmetic {
  /**
   * Element type of the graph's floating point values; inputs and outputs stay float32 unless said
   * otherwise.
   */
  readonly element: "float32" | "float16";
  /**
   * x · weight + bias, for x [..., in], weight [in, out] (already transposed), bias [out] or null.
   */
  linear(scope: Scope, x: Name, parameters: { weight: Tensor; bias: Tensor | null }): Name;
  /** A weight that is not a linear layer's matrix: norms, convolutions, embeddings. */
  weight(scope: Scope, tensor: Tensor): Name;
  /** The value in another element type, or as it is where it has it. */
  cast(scope: Scope, value: Name, from: Element, to: Element): Name;
}
