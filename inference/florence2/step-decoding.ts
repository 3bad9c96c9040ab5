import { cacheNames, type Decoding } from "./decoding.ts";
import type { Embedding } from "./embedding.ts";
import type { Encoding } from "./encoding.ts";
import type { Graph } from "./graph.ts";
import type { StepDecoder } from "./graphs.ts";
import type { ModelConfig } from "./model-config.ts";
import { openSaidCache } from "./said-cache.ts";
import { floatsOf, gatherRows, inElement, integers, type Value, viewsOf } from "./values.ts";

/** Decoding in the step layout, whose graph puts out the keys and values of the new token only. */
export function startStepDecoding(
  { embed, decoder: { step: graph } }: { embed: Embedding; decoder: StepDecoder },
  encoding: Encoding,
  model: Pick<ModelConfig, "width" | "decoder">,
): Decoding {
  const { width } = model;
  const { heads, layers } = model.decoder;
  const saidNames = cacheNames(layers, "decoder");
  const outputs = ["logits" as const, ...saidNames.map((name) => `present.${name}`)];

  let questions = Array.from({ length: encoding.mask.dims[0] ?? 0 }, (_, row) => row);
  let seen = seenBy(graph, encoding, cacheNames(layers, "encoder")); // [Q, …] each
  const said = openSaidCache(saidNames, {
    rows: questions.length,
    heads,
    width,
    element: elementOf(graph, saidNames[0]),
  });
  /** The cache's row of each row. */
  let places = [...questions.keys()];

  return {
    async step(tokens, { locationsOnly }) {
      const placed: number[] = [];
      for (const [row, place] of places.entries()) placed[place] = tokens[row] ?? 0;
      const results = await graph.run(
        {
          ...seen,
          ...said.past(),
          inputs_embeds: { data: await embed.rowsOf(placed), dims: [placed.length, width] },
          position: integers([said.length], [1]),
          past_bias: pastBias(said.length),
          locations_only: { data: Uint8Array.of(locationsOnly ? 1 : 0), dims: [1] },
        },
        outputs,
      );
      said.append(results);
      const views = viewsOf(floatsOf(results.logits), placed.length);
      return { rows: places.flatMap((place) => views[place] ?? []), locationsOnly };
    },

    keep(rows, asked) {
      const parents = rows.flatMap((row) => places[row] ?? []);
      const isSame = rows.length === places.length && asked.length === questions.length;
      places = isSame ? said.reorder(parents) : said.rebuild(parents);
      if (asked.length === questions.length) return;
      const left = asked.map((question) => questions.indexOf(question));
      const gathered = Object.entries(seen).map(
        ([name, value]) =>
          [name, gatherRows(value, left, (bytes) => new ArrayBuffer(bytes))] as const,
      );
      seen = Object.fromEntries(gathered);
      questions = [...asked];
    },
  };
}

/** What was seen, as the graph takes it in. */
function seenBy(
  graph: Graph,
  { seen, mask }: Encoding,
  names: readonly string[],
): Record<string, Value> {
  const inputs: Record<string, Value> = { encoder_attention_mask: mask };
  for (const name of names) {
    const cache = seen[`present.${name}`];
    if (cache) inputs[`past_key_values.${name}`] = inElement(cache, elementOf(graph, name));
  }
  return inputs;
}

function elementOf(graph: Graph, name = ""): "float32" | "float16" {
  return graph.inputTypes.get(`past_key_values.${name}`) === "float16" ? "float16" : "float32";
}

/**
 * Hides the dummy in front of the past: [1, 1, P + 1]. An empty past would kill ONNX Runtime's
 * FusedMatMul, and the process with it.
 */
function pastBias(past: number): Value {
  const data = new Float32Array(past + 1);
  data[0] = Number.NEGATIVE_INFINITY;
  return { data, dims: [1, 1, past + 1] };
}
