import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Graph } from "../../../inference/build/onnx/graph.ts";
import { writeGraph } from "../../../inference/build/onnx/write.ts";
import { exactInt8 } from "../../../inference/florence2/graph.ts";
import { InferenceSession, type Tensor } from "../../../inference/onnx-runtime.ts";

export type RunGraph = (
  inputs: Record<string, Tensor>,
) => Promise<InferenceSession.OnnxValueMapType>;

/** Writes a graph to a temporary file and opens it in ONNX Runtime. */
export async function openGraph(graph: Graph): Promise<RunGraph> {
  const folder = await mkdtemp(path.join(tmpdir(), "vedere-graph-"));
  try {
    const file = path.join(folder, "graph.onnx");
    await writeGraph(file, graph);
    const session = await InferenceSession.create(file, {
      logSeverityLevel: 3,
      extra: exactInt8,
    });
    return (inputs) => session.run(inputs);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The largest difference, over the largest number expected. */
export function relativeError(actual: Float32Array, expected: Float32Array): number {
  if (actual.length !== expected.length)
    throw new Error(`${actual.length} numbers for ${expected.length}`);
  const [difference, size] = [
    expected.map((value, i) => Math.abs(value - (actual[i] ?? Number.NaN))),
    expected.map(Math.abs),
  ];
  const largest = (values: Float32Array) =>
    values.reduce((most, value) => (value <= most ? most : value), 0);
  return largest(difference) / largest(size);
}
