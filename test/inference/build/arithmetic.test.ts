import { describe, expect, test } from "vitest";
import {
  arithmeticOf,
  type BuiltPrecision,
  builtPrecisions,
} from "../../../inference/build/arithmetic.ts";
import { buildGraph, type Graph } from "../../../inference/build/onnx/graph.ts";
import { quantisedBlocks, quantisedColumns } from "../../../inference/build/quantised.ts";
import type { Tensor } from "../../../inference/build/tensor.ts";
import { Tensor as Value } from "../../../inference/onnx-runtime.ts";
import { openGraph, relativeError } from "./run-graph.ts";

const rows = 3;
/** Numbers from -1 to 1 that look like noise. */
const noise = (length: number, seed: number) =>
  Float32Array.from({ length }, (_, i) => (((i + seed) * (i + seed) * 37) % 509) / 254 - 1);

/** A tensor that counts how often it is read. */
function counted(dims: readonly number[], values: Float32Array): Tensor & { reads: number } {
  const tensor = {
    dims,
    reads: 0,
    async values() {
      tensor.reads += 1;
      return values.slice();
    },
  };
  return tensor;
}

function parametersOf(inputs: number, outputs: number) {
  return {
    weight: counted([inputs, outputs], noise(inputs * outputs, 1)),
    bias: counted([outputs], noise(outputs, 2)),
  };
}

function linearGraph(
  precision: BuiltPrecision,
  parameters: { weight: Tensor; bias: Tensor | null },
): Graph {
  const [inputs = 0, outputs = 0] = parameters.weight.dims;
  const arithmetic = arithmeticOf(precision);
  const graph = buildGraph();
  const x = arithmetic.cast(
    graph,
    graph.input("x", { element: "float32", dims: ["rows", inputs] }),
    "float32",
    arithmetic.element,
  );
  const out = arithmetic.cast(
    graph,
    arithmetic.linear(graph, x, parameters),
    arithmetic.element,
    "float32",
  );
  graph.output("out", out, { element: "float32", dims: ["rows", outputs] });
  return graph.done();
}

async function product(graph: Graph, x: Float32Array): Promise<Float32Array> {
  const run = await openGraph(graph);
  const { out } = await run({ x: new Value(x, [rows, x.length / rows]) });
  if (!(out?.data instanceof Float32Array)) throw new Error("The graph gave no float32.");
  return out.data;
}

/** x · weight + bias as it is written. */
function exactProduct(x: Float32Array, weight: Float32Array, bias: Float32Array): Float32Array {
  const [inputs, outputs] = [x.length / rows, bias.length];
  return Float32Array.from({ length: rows * outputs }, (_, i) => {
    const [row, column] = [Math.floor(i / outputs), i % outputs];
    let sum = bias[column] ?? 0;
    for (let k = 0; k < inputs; k += 1)
      sum += (x[row * inputs + k] ?? 0) * (weight[k * outputs + column] ?? 0);
    return sum;
  });
}

describe.each(builtPrecisions)("a linear layer in %s", (precision) => {
  const errorMax = { fp32: 1e-6, fp16: 2e-3, int8: 2e-2, q4: 0.1 }[precision];

  test.each([64, 48])("of %d inputs is x · weight + bias", async (inputs) => {
    const { weight, bias } = parametersOf(inputs, 20);
    const x = noise(rows * inputs, 3);
    const exact = exactProduct(x, noise(inputs * 20, 1), noise(20, 2));
    const none = exactProduct(x, noise(inputs * 20, 1), new Float32Array(20));
    expect(
      relativeError(await product(linearGraph(precision, { weight, bias }), x), exact),
    ).toBeLessThan(errorMax);
    expect(
      relativeError(await product(linearGraph(precision, { weight, bias: null }), x), none),
    ).toBeLessThan(errorMax);
  });

  test("reads its weight once, and not before it is written", async () => {
    const { weight, bias } = parametersOf(32, 8);
    const graph = linearGraph(precision, { weight, bias });
    expect(weight.reads + bias.reads).toBe(0);
    for (const constant of graph.weights) await constant.read();
    expect([weight.reads, bias.reads]).toEqual([1, 1]);
  });

  test("is written the same a second time", async () => {
    const { weights } = linearGraph(precision, parametersOf(32, 8));
    const write = () => Promise.all(weights.map((constant) => constant.read()));
    expect(await write()).toEqual(await write());
  });
});

test("q4 multiplies with its own sixteen steps, whatever its arithmetic inside", async () => {
  const x = noise(rows * 64, 3);
  const { weight, bias } = parametersOf(64, 20);
  const exact = exactProduct(x, dequantisedBlocks(noise(64 * 20, 1), 20), noise(20, 2));
  expect(relativeError(await product(linearGraph("q4", { weight, bias }), x), exact)).toBeLessThan(
    1e-2,
  );
});

test("q4 leaves a matrix alone whose width 32 does not divide", () => {
  const types = (inputs: number) =>
    linearGraph("q4", parametersOf(inputs, 8)).operators.map(({ type }) => type);
  expect(types(64)).toEqual(["MatMulNBits"]);
  expect(types(48)).toEqual(["MatMul", "Add"]);
});

describe("quantised numbers", () => {
  test("lie within half a step of their column in int8", () => {
    const columns = 5;
    const numbers = noise(7 * columns, 4).map((value, i) => value * 10 ** (i % columns));
    const { values, scales } = quantisedColumns(numbers, columns);
    numbers.forEach((number, i) => {
      const scale = scales[i % columns] ?? 0;
      expect(Math.abs((values[i] ?? 0) * scale - number)).toBeLessThanOrEqual(scale * 0.5001);
    });
  });

  test("lie within half a step of their block in 4 bits, but for the end opposite to the furthest", () => {
    const columns = 3;
    const numbers = noise(64 * columns, 5);
    const { scales } = quantisedBlocks(numbers, columns);
    dequantisedBlocks(numbers, columns).forEach((value, i) => {
      const scale = scales[(i % columns) * 2 + Math.floor(i / columns / 32)] ?? 0;
      const number = numbers[i] ?? 0;
      const cut = number / scale > 7.5; // from -8 to 7 are sixteen steps
      expect(Math.abs(value - number)).toBeLessThanOrEqual(
        Math.abs(scale) * (cut ? 1 : 0.5) * 1.0001,
      );
    });
  });

  test("of nothing but zeros are zeros", () => {
    expect([...quantisedColumns(new Float32Array(6), 2).values]).toEqual([0, 0, 0, 0, 0, 0]);
    expect([...dequantisedBlocks(new Float32Array(32), 1)].every((value) => value === 0)).toBe(
      true,
    );
  });
});

/** What MatMulNBits makes of a matrix in 4 bits. */
function dequantisedBlocks(numbers: Float32Array, columns: number): Float32Array {
  const { values, scales } = quantisedBlocks(numbers, columns);
  const blocks = numbers.length / columns / 32;
  return numbers.map((_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    const block = column * blocks + Math.floor(row / 32);
    const byte = values[block * 16 + ((row % 32) >> 1)] ?? 0;
    return (((byte >> (4 * (row & 1))) & 15) - 8) * (scales[block] ?? 0);
  });
}
