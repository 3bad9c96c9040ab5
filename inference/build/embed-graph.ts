import { sharedEmbedding } from "./bart.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { buildGraph, type Graph } from "./onnx/graph.ts";
import type { Arithmetic } from "./precision.ts";
import type { TextShape } from "./shape.ts";

/** The embedding of tokens: input_ids [B, S] → inputs_embeds [B, S, D]. */
export function embedGraph(
  shape: TextShape,
  checkpoint: Checkpoint,
  arithmetic: Arithmetic,
): Graph {
  const g = buildGraph();
  const { width, vocabulary } = shape;
  const ids = g.input("input_ids", { element: "int64", dims: ["rows", "length"] });
  const rows = g.op(
    "Gather",
    [arithmetic.weight(g, sharedEmbedding(checkpoint, vocabulary, width)), ids],
    { axis: 0 },
  );
  g.output("inputs_embeds", arithmetic.cast(g, rows, arithmetic.element, "float32"), {
    element: "float32",
    dims: ["rows", "length", width],
  });
  return g.done();
}
