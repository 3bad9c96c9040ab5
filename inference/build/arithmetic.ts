import type { Precision } from "../../core/model-layout.ts";
import { toFloat16 } from "../florence2/float16.ts";
import { type Element, elements, type Name, type Scope } from "./onnx/graph.ts";
import type { Arithmetic } from "./precision.ts";
import { blockSize, quantisedBlocks, quantisedColumns } from "./quantised.ts";
import type { Tensor } from "./tensor.ts";

/** The precisions that a model can be built in. */
export const builtPrecisions = [
  "fp32",
  "fp16",
  "int8",
  "q4",
] as const satisfies readonly Precision[];
export type BuiltPrecision = (typeof builtPrecisions)[number];

type Parameters = { readonly weight: Tensor; readonly bias: Tensor | null };

/**
 * The arithmetic of a precision. Where linear layers are int8 their inputs are quantised at run
 * time by one scale for the whole tensor: a row's result depends, within int8's error, on the rows
 * beside it. In q4 every row has its own scales.
 */
export function arithmeticOf(precision: BuiltPrecision): Arithmetic {
  const { element, linear } = arithmetics[precision];
  return { element, linear, cast, weight: (scope, tensor) => floats(scope, tensor, element) };
}

const arithmetics = {
  fp32: {
    element: "float32",
    linear: (scope, x, parameters) => product(scope, x, { ...parameters, element: "float32" }),
  },
  fp16: {
    element: "float16",
    linear: (scope, x, parameters) => product(scope, x, { ...parameters, element: "float16" }),
  },
  int8: { element: "float32", linear: int8Product },
  q4: { element: "float32", linear: q4Product },
} as const satisfies Record<BuiltPrecision, Pick<Arithmetic, "element" | "linear">>;

function floats(scope: Scope, tensor: Tensor, element: Arithmetic["element"]): Name {
  return scope.weight({
    element,
    dims: tensor.dims,
    async read() {
      const values = await tensor.values();
      return bytesOf(element === "float16" ? toFloat16(values) : values);
    },
  });
}

function cast(scope: Scope, value: Name, from: Element, to: Element): Name {
  return from === to ? value : scope.op("Cast", [value], { to: elements[to].code });
}

function product(
  scope: Scope,
  x: Name,
  { weight, bias, element }: Parameters & { element: Arithmetic["element"] },
): Name {
  const out = scope.op("MatMul", [x, floats(scope, weight, element)]);
  return bias ? scope.op("Add", [out, floats(scope, bias, element)]) : out;
}

/**
 * Signed weights with a scale for each column: without VNNI the processor multiplies unsigned
 * weights more slowly.
 */
function int8Product(scope: Scope, x: Name, { weight, bias }: Parameters): Name {
  const [, columns = 0] = weight.dims;
  const [values, scales] = quantised(scope, weight, {
    quantise: (numbers) => quantisedColumns(numbers, columns),
    values: { element: "int8", dims: weight.dims },
    scales: [columns],
  });
  const zeros = scope.weight({
    element: "int8",
    dims: [columns],
    read: async () => new Uint8Array(columns),
  });
  return scope.contrib("DynamicQuantizeMatMul", [
    x,
    values,
    scales,
    zeros,
    ...(bias ? [floats(scope, bias, "float32")] : []),
  ]);
}

/**
 * accuracy_level 4 multiplies in int8; ONNX Runtime's other levels were measured 45 times slower.
 */
function q4Product(scope: Scope, x: Name, { weight, bias }: Parameters): Name {
  const [rows = 0, columns = 0] = weight.dims;
  if (rows % blockSize !== 0) return product(scope, x, { weight, bias, element: "float32" });
  const blocks = rows / blockSize;
  const [values, scales] = quantised(scope, weight, {
    quantise: (numbers) => quantisedBlocks(numbers, columns),
    values: { element: "uint8", dims: [columns, blocks, blockSize / 2] },
    scales: [columns * blocks],
  });
  return scope.contrib(
    "MatMulNBits",
    [x, values, scales, ...(bias ? ["", "", floats(scope, bias, "float32")] : [])],
    {
      ...{ K: rows, N: columns, bits: 4 },
      ...{ block_size: blockSize, accuracy_level: 4 },
    },
  );
}

/**
 * Adds a weight's quantised values and their scales. Values are written first; their scales, which
 * are few, are kept from then on.
 */
function quantised(
  scope: Scope,
  tensor: Tensor,
  form: {
    quantise: (numbers: Float32Array) => { values: Int8Array | Uint8Array; scales: Float32Array };
    values: { element: "int8" | "uint8"; dims: readonly number[] };
    scales: readonly number[];
  },
): [values: Name, scales: Name] {
  let kept: Float32Array | null = null;
  const quantise = async () => {
    const { values, scales } = form.quantise(await tensor.values());
    kept = scales;
    return { values, scales };
  };
  return [
    scope.weight({ ...form.values, read: async () => bytesOf((await quantise()).values) }),
    scope.weight({
      element: "float32",
      dims: form.scales,
      read: async () => bytesOf(kept ?? (await quantise()).scales),
    }),
  ];
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
