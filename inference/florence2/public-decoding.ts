import { cacheNames, type Decoding } from "./decoding.ts";
import type { Embedding } from "./embedding.ts";
import type { Encoding } from "./encoding.ts";
import type { PublicDecoder } from "./graphs.ts";
import type { ModelConfig } from "./model-config.ts";
import { floatsOf, gatherRows, type Value, viewsOf } from "./values.ts";

type Caches = Readonly<Record<string, Value>>;

/** Decoding in the public layout, whose graph puts all caches out anew at each step. */
export function startPublicDecoding(
  { embed, decoder }: { embed: Embedding; decoder: PublicDecoder },
  encoding: Encoding,
  model: Pick<ModelConfig, "width" | "decoder">,
): Decoding {
  const { heads, layers } = model.decoder;
  const [saidNames, seenNames] = [cacheNames(layers, "decoder"), cacheNames(layers, "encoder")];

  // What was seen, one row for each row of the batch: computed by the first step and only moved
  // around afterwards.
  const { last_hidden_state } = encoding.seen;
  let seen: Caches = {
    ...(last_hidden_state && { encoder_hidden_states: last_hidden_state }),
    encoder_attention_mask: encoding.mask,
  };
  let seenBy = Array.from({ length: encoding.mask.dims[0] ?? 0 }, (_, row) => row);
  // What was said: renewed by each step.
  let said: Caches = {};
  let isFirst = true;
  const scratch = new Map<string, ArrayBuffer>();

  return {
    async step(tokens) {
      const rows = tokens.length;
      const inputs_embeds = { data: await embed.rowsOf(tokens), dims: [rows, 1, model.width] };
      const nothing: Value = {
        data: new Float32Array(),
        dims: [rows, heads, 0, model.width / heads],
      };
      const past = isFirst
        ? Object.fromEntries(
            [...saidNames, ...seenNames].map((name) => [`past_key_values.${name}`, nothing]),
          )
        : said;
      const use_cache_branch = { data: Uint8Array.of(isFirst ? 0 : 1), dims: [1] };
      // The encoder's caches that later steps put out are not valid: only the first step's are
      // asked for.
      const renewed = isFirst ? [...saidNames, ...seenNames] : saidNames;
      const graph = isFirst ? decoder.first : decoder.next;
      const outputs = await graph.run({ ...past, ...seen, inputs_embeds, use_cache_branch }, [
        "logits",
        ...renewed.map((name) => `present.${name}`),
      ]);
      said = pastOf(outputs, saidNames);
      if (isFirst) seen = { ...seen, ...pastOf(outputs, seenNames) };
      isFirst = false;
      return { rows: viewsOf(floatsOf(outputs.logits), rows), locationsOnly: false };
    },

    keep(rows, questions) {
      said = mapCaches(said, (value, key) =>
        gatherRows(value, rows, (bytes) => room(scratch, key, bytes)),
      );
      const wanted = rows.map(
        (_, row) => questions[Math.floor((row * questions.length) / rows.length)] ?? 0,
      );
      if (
        seenBy.length === wanted.length &&
        seenBy.every((question, row) => question === wanted[row])
      )
        return;
      const sources = sourcesOf(seenBy, wanted);
      seen = mapCaches(seen, (value) =>
        gatherRows(value, sources, (bytes) => new ArrayBuffer(bytes)),
      );
      seenBy = wanted;
    },
  };
}

/** What one step put out, as the next one takes it in. */
function pastOf(outputs: Caches, names: readonly string[]): Caches {
  const past: Record<string, Value> = {};
  for (const name of names) {
    const cache = outputs[`present.${name}`];
    if (cache) past[`past_key_values.${name}`] = cache;
  }
  return past;
}

/**
 * For each new row an old one with the same question: the first unused one, so that a batch that
 * only shrinks keeps its order (and is moved in place), or the last one again where a question
 * needs more rows than it had.
 */
function sourcesOf(seenBy: readonly number[], questions: readonly number[]): number[] {
  const used = new Map<number, number>();
  return questions.map((question) => {
    const next = seenBy.indexOf(question, (used.get(question) ?? -1) + 1);
    const source = next >= 0 ? next : (used.get(question) ?? 0);
    used.set(question, source);
    return source;
  });
}

/**
 * A buffer of at least so many bytes, used again for this name: caches grow by one token per step,
 * so it is made twice as large.
 */
function room(scratch: Map<string, ArrayBuffer>, name: string, bytes: number): ArrayBuffer {
  const held = scratch.get(name);
  if (held && held.byteLength >= bytes) return held;
  const made = new ArrayBuffer(2 * bytes);
  scratch.set(name, made);
  return made;
}

function mapCaches(caches: Caches, change: (value: Value, name: string) => Value): Caches {
  return Object.fromEntries(
    Object.entries(caches).map(([name, value]) => [name, change(value, name)]),
  );
}
