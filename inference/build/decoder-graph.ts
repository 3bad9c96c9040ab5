import { type Bart, bart, maskBias, sharedEmbedding, splitHeads } from "./bart.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { buildGraph, type Graph, type GraphBuilder, type Name } from "./onnx/graph.ts";
import type { Arithmetic } from "./precision.ts";
import type { TextShape } from "./shape.ts";
import { rowsOf, transposed } from "./tensor.ts";

const locations = 1000;

/**
 * One step of BART's decoder for R = Q · K rows, K beams of each question, by question. P tokens
 * were said before, L seen.
 *
 *     in   inputs_embeds [R, D], position [1], encoder_attention_mask [Q, L], past_bias [1, 1, P + 1], locations_only [1]
 *          past_key_values.{i}.encoder.{key,value} [Q, H, L, D / H], past_key_values.{i}.decoder.{key,value} [P + 1, R · H, D / H]
 *     out  logits [R, V], or [R, 1000] of the locations only; present.{i}.decoder.{key,value} [R, D] of the new token
 *
 * The beams of a question stand as query rows before one set of its keys. Large outputs cost time,
 * so only what is new goes out: the caller keeps the past. Its slot 0 is a dummy that `past_bias`
 * hides, because FusedMatMul ends the process on an empty one.
 */
export function decoderStepGraph(
  shape: TextShape,
  checkpoint: Checkpoint,
  arithmetic: Arithmetic,
): Graph {
  const g = buildGraph();
  const { width, decoder } = shape;
  const { element } = arithmetic;
  const parts = bart(g, { checkpoint, arithmetic, side: "decoder", width });
  const head = width / decoder.heads;

  const embeds = g.input("inputs_embeds", { element: "float32", dims: ["rows", width] });
  const position = g.input("position", { element: "int64", dims: [1] });
  const mask = g.input("encoder_attention_mask", {
    element: "int64",
    dims: ["questions", "length"],
  });
  const pastBias = g.input("past_bias", { element: "float32", dims: [1, 1, "slots"] });
  const locationsOnly = g.input("locations_only", { element: "bool", dims: [1] });
  const bias = {
    seen: maskBias(g, arithmetic, mask),
    past: arithmetic.cast(g, pastBias, "float32", element),
  };
  const slots = g.op("Slice", [g.op("Shape", [pastBias]), g.int64(2), g.int64(3)]);
  const splits = g.op("Concat", [slots, g.int64(1)], { axis: 0 });
  const questions = g.op(
    "Concat",
    [g.op("Slice", [g.op("Shape", [mask]), g.int64(0), g.int64(1)]), g.int64(-1, width)],
    { axis: 0 },
  );

  const table = rowsOf(
    parts.tensor("embed_positions.weight", [shape.positionsMax + 2, width]),
    2,
    shape.positionsMax + 2,
  );
  const place = g.op("Gather", [arithmetic.weight(g, table), position], { axis: 0 });
  let x = parts.norm(
    g.op("Add", [arithmetic.cast(g, embeds, "float32", element), place]),
    "layernorm_embedding",
  ); // [R, D]
  for (let layer = 0; layer < decoder.layers; layer += 1) {
    const name = `layers.${layer}`;
    x = attendPast(g, x, {
      parts,
      layer,
      width,
      heads: decoder.heads,
      element,
      splits,
      bias: bias.past,
    });

    const attention = `${name}.encoder_attn`;
    const asked = parts.linear(x, [`${attention}.q_proj`], {
      from: width,
      to: width,
      scale: head ** -0.5,
    });
    const queries = splitHeads(g, g.op("Reshape", [asked, questions]), {
      heads: decoder.heads,
      width,
    }); // [Q, H, K, D / H]
    const dims = ["questions", decoder.heads, "length", head];
    const [key, value] = ["key", "value"].map((part) =>
      g.input(`past_key_values.${layer}.encoder.${part}`, { element, dims }),
    ) as [Name, Name];
    const scores = g.op("Add", [
      g.contrib("FusedMatMul", [queries, key], { transB: 1 }),
      bias.seen,
    ]);
    const seen = g.op("MatMul", [g.op("Softmax", [scores], { axis: -1 }), value]);
    const joined = g.op("Reshape", [
      g.op("Transpose", [seen], { perm: [0, 2, 1, 3] }),
      g.int64(-1, width),
    ]);
    x = parts.joinNorm(x, joined, {
      linear: `${attention}.out_proj`,
      norm: `${attention}_layer_norm`,
      from: width,
    });
    x = parts.feed(x, name, decoder.middle);
  }

  const embedding = sharedEmbedding(checkpoint, shape.vocabulary, width);
  const logitsOf = (rows: typeof embedding, count: number) =>
    g.branch((scope) => {
      const logits = arithmetic.linear(scope, x, { weight: transposed(rows), bias: null });
      scope.output(`logits_${count}`, arithmetic.cast(scope, logits, element, "float32"), {
        element: "float32",
        dims: ["rows", count],
      });
    });
  const logits = g.op("If", [locationsOnly], {
    then_branch: logitsOf(
      rowsOf(embedding, shape.firstLocation, shape.firstLocation + locations),
      locations,
    ),
    else_branch: logitsOf(embedding, shape.vocabulary),
  });
  g.output("logits", logits, { element: "float32", dims: ["rows", "tokens"] });
  return g.done();
}

/** LayerNorm(x + attention among all that was said), the new token included. */
function attendPast(
  g: GraphBuilder,
  x: Name,
  given: {
    parts: Bart;
    layer: number;
    width: number;
    heads: number;
    element: Arithmetic["element"];
    splits: Name;
    bias: Name;
  },
): Name {
  const { parts, layer, width, heads, element, splits, bias } = given;
  const attention = `layers.${layer}.self_attn`;
  const head = width / heads;
  const projections = ["q_proj", "k_proj", "v_proj"].map((part) => `${attention}.${part}`);
  const qkv = parts.linear(x, projections, { from: width, to: width, scale: head ** -0.5 });
  const rows = g.split("Split", [qkv, g.int64(width, width, width)], 3, { axis: 1 });
  const [q = "", k = "", v = ""] = rows.map((part) =>
    g.op("Reshape", [part, g.int64(-1, 1, head)]),
  ); // [R · H, 1, D / H]
  const [pastKey, pastValue] = ["key", "value"].map((part, i) => {
    g.output(`present.${layer}.decoder.${part}`, rows[i + 1] ?? "", {
      element,
      dims: ["rows", width],
    });
    return g.input(`past_key_values.${layer}.decoder.${part}`, {
      element,
      dims: ["slots", "rows_heads", head],
    });
  }) as [Name, Name];
  const past = g.op("Add", [
    g.contrib("FusedMatMul", [q, pastKey], { transB: 1, transBatchB: 1 }),
    bias,
  ]); // [R · H, 1, P + 1]
  const own = g.op("ReduceSum", [g.op("Mul", [q, k]), g.int64(-1)], { keepdims: 1 });
  const weights = g.op("Softmax", [g.op("Concat", [past, own], { axis: -1 })], { axis: -1 });
  const [ofPast = "", ofOwn = ""] = g.split("Split", [weights, splits], 2, { axis: 2 });
  const sum = g.op("Add", [
    g.contrib("FusedMatMul", [ofPast, pastValue], { transBatchB: 1 }),
    g.op("Mul", [ofOwn, v]),
  ]);
  const joined = g.op("Reshape", [sum, g.int64(-1, width)]);
  return parts.joinNorm(x, joined, {
    linear: `${attention}.out_proj`,
    norm: `${attention}_layer_norm`,
    from: width,
  });
}
