import type { Encoding } from "./encoding.ts";
import type { Graphs } from "./graphs.ts";
import type { ModelConfig } from "./model-config.ts";
import { floatsOf, gatherRows, integers, type Value } from "./values.ts";

type Caches = Record<string, Value>;

/** The decoder at work on one batch: its rows and their key/value caches. */
export interface Decoding {
  /** Feeds one token to each row and returns each row's logits [V]. */
  step(tokens: readonly number[]): Promise<Float32Array[]>;
  /** Row i goes on from what was row `rows[i]`; `questions[i]` is its row of the encoding. */
  keep(rows: readonly number[], questions: readonly number[]): void;
}

/** Starts with one row for each question of the encoding. */
export function startDecoding(
  graphs: Pick<Graphs, "embed" | "decoder">,
  encoding: Encoding,
  model: Pick<ModelConfig, "width" | "decoder">,
): Decoding {
  const { heads, layers } = model.decoder;
  const [saidNames, seenNames] = [cacheNames(layers, "decoder"), cacheNames(layers, "encoder")];

  // What was seen, one row for each row of the batch: computed by the first step and only moved around afterwards.
  let seen: Caches = { encoder_hidden_states: encoding.hidden, encoder_attention_mask: encoding.mask };
  let seenBy = Array.from({ length: encoding.mask.dims[0] ?? 0 }, (_, row) => row);
  // What was said: renewed by each step.
  let said: Caches = {};
  let isFirst = true;
  const scratch = new Map<string, ArrayBuffer>();

  async function step(tokens: readonly number[]): Promise<Float32Array[]> {
    const rows = tokens.length;
    const { inputs_embeds } = await graphs.embed.run({ input_ids: integers(tokens, [rows, 1]) }, ["inputs_embeds"]);
    const nothing: Value = { data: new Float32Array(), dims: [rows, heads, 0, model.width / heads] };
    const past = isFirst ? Object.fromEntries([...saidNames, ...seenNames].map((name) => [`past_key_values.${name}`, nothing])) : said;
    const use_cache_branch = { data: Uint8Array.of(isFirst ? 0 : 1), dims: [1] };
    // The encoder's caches that later steps put out are not valid: only the first step's are asked for.
    const renewed = isFirst ? [...saidNames, ...seenNames] : saidNames;
    const graph = isFirst ? graphs.decoder.first : graphs.decoder.next;
    const outputs = await graph.run({ ...past, ...seen, inputs_embeds, use_cache_branch }, [
      "logits",
      ...renewed.map((name) => `present.${name}`),
    ]);
    said = pastOf(outputs, saidNames);
    if (isFirst) seen = { ...seen, ...pastOf(outputs, seenNames) };
    isFirst = false;
    return rowsOf(outputs.logits, rows);
  }

  function keep(rows: readonly number[], questions: readonly number[]): void {
    said = mapCaches(said, (value, key) => gatherRows(value, rows, (bytes) => room(scratch, key, bytes)));
    if (seenBy.length === questions.length && seenBy.every((question, row) => question === questions[row])) return;
    const sources = sourcesOf(seenBy, questions);
    seen = mapCaches(seen, (value) => gatherRows(value, sources, (bytes) => new ArrayBuffer(bytes)));
    seenBy = [...questions];
  }
  return { step, keep };
}

function cacheNames(layers: number, side: "decoder" | "encoder"): string[] {
  return Array.from({ length: layers }, (_, layer) => [`${layer}.${side}.key`, `${layer}.${side}.value`]).flat();
}

/** What one step put out, as the next one takes it in. */
function pastOf(outputs: Caches, names: readonly string[]): Caches {
  const past: Caches = {};
  for (const name of names) {
    const cache = outputs[`present.${name}`];
    if (cache) past[`past_key_values.${name}`] = cache;
  }
  return past;
}

/** [rows, 1, V] as one view for each row. */
function rowsOf(logits: Value | undefined, rows: number): Float32Array[] {
  const numbers = logits ? floatsOf(logits) : new Float32Array();
  const size = numbers.length / rows;
  return Array.from({ length: rows }, (_, row) => numbers.subarray(row * size, (row + 1) * size));
}

/**
 * For each new row an old one with the same question: the first unused one, so that a batch that only shrinks keeps its order (and is moved in
 * place), or the last one again where a question needs more rows than it had.
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

/** A buffer of at least so many bytes, used again for this name: caches grow by one token per step, so it is made twice as large. */
function room(scratch: Map<string, ArrayBuffer>, name: string, bytes: number): ArrayBuffer {
  const held = scratch.get(name);
  if (held && held.byteLength >= bytes) return held;
  const made = new ArrayBuffer(2 * bytes);
  scratch.set(name, made);
  return made;
}

function mapCaches(caches: Caches, change: (value: Value, name: string) => Value): Caches {
  return Object.fromEntries(Object.entries(caches).map(([name, value]) => [name, change(value, name)]));
}
