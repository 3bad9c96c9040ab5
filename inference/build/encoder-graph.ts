import { bart, maskBias, splitHeads } from "./bart.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { buildGraph, type Graph } from "./onnx/graph.ts";
import type { Arithmetic } from "./precision.ts";
import type { TextShape } from "./shape.ts";
import { rowsOf } from "./tensor.ts";

/**
 * BART's encoder: inputs_embeds [Q, L, D] (image features, then the prompt) and attention_mask [Q,
 * L] → last_hidden_state [Q, L, D]. Beside it the keys and values of what was seen, [Q, H, L, D /
 * H] for each layer of the decoder, so that no step of the decoder has to compute them.
 */
export function encoderGraph(
  shape: TextShape,
  checkpoint: Checkpoint,
  arithmetic: Arithmetic,
): Graph {
  const g = buildGraph();
  const { width, encoder, decoder } = shape;
  const own = bart(g, { checkpoint, arithmetic, side: "encoder", width });
  const { element } = arithmetic;

  const embeds = g.input("inputs_embeds", {
    element: "float32",
    dims: ["questions", "length", width],
  });
  const mask = g.input("attention_mask", { element: "int64", dims: ["questions", "length"] });
  const table = arithmetic.weight(
    g,
    rowsOf(
      own.tensor("embed_positions.weight", [shape.positionsMax + 2, width]),
      2,
      shape.positionsMax + 2,
    ),
  );
  const length = g.op("Slice", [g.op("Shape", [mask]), g.int64(1), g.int64(2)]);
  const positions = g.op("Slice", [table, g.int64(0), length, g.int64(0)]);
  let x = own.norm(
    g.op("Add", [arithmetic.cast(g, embeds, "float32", element), positions]),
    "layernorm_embedding",
  );
  const bias = maskBias(g, arithmetic, mask);
  for (let layer = 0; layer < encoder.layers; layer += 1) {
    const name = `layers.${layer}`;
    const attention = `${name}.self_attn`;
    const projections = ["q_proj", "k_proj", "v_proj"].map((part) => `${attention}.${part}`);
    const scale = (width / encoder.heads) ** -0.5; // into the queries' weights
    const qkv = own.linear(x, projections, { from: width, to: width, scale });
    const [q = "", k = "", v = ""] = g
      .split("Split", [qkv, g.int64(width, width, width)], 3, { axis: 2 })
      .map((part) => splitHeads(g, part, { heads: encoder.heads, width }));
    const scores = g.op("Add", [g.contrib("FusedMatMul", [q, k], { transB: 1 }), bias]);
    const seen = g.op("MatMul", [g.op("Softmax", [scores], { axis: -1 }), v]); // [Q, H, L, D / H]
    const joined = g.op("Reshape", [
      g.op("Transpose", [seen], { perm: [0, 2, 1, 3] }),
      g.int64(0, 0, width),
    ]);
    x = own.joinNorm(x, joined, {
      linear: `${attention}.out_proj`,
      norm: `${attention}_layer_norm`,
      from: width,
    });
    x = own.feed(x, name, encoder.middle);
  }
  g.output("last_hidden_state", arithmetic.cast(g, x, element, "float32"), {
    element: "float32",
    dims: ["questions", "length", width],
  });

  const asked = bart(g, { checkpoint, arithmetic, side: "decoder", width });
  for (let layer = 0; layer < decoder.layers; layer += 1) {
    for (const [part, projection] of [
      ["key", "k_proj"],
      ["value", "v_proj"],
    ] as const) {
      const projected = asked.linear(x, [`layers.${layer}.encoder_attn.${projection}`], {
        from: width,
        to: width,
      });
      const dims = ["questions", decoder.heads, "length", width / decoder.heads];
      g.output(
        `present.${layer}.encoder.${part}`,
        splitHeads(g, projected, { heads: decoder.heads, width }),
        { element, dims },
      );
    }
  }
  return g.done();
}
