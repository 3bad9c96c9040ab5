import { existsSync } from "node:fs";
import { InferenceSession, Tensor } from "../../../inference/onnx-runtime.ts";

const width = 128;
const heads = 8;
const layers = 2;

/** What the encoder said about one question. */
export interface Seen {
  readonly outputs: InferenceSession.ReturnType;
  readonly mask: Tensor;
}

/**
 * The decoder of florence-2-nano in either layout, asked about one prefix of one question at a
 * time.
 */
export interface ReferenceDecoder {
  /** The logits [V] after a prefix, the start token first. */
  logitsAfter(ids: readonly number[], seen: Seen): Promise<Float32Array>;
  release(): Promise<void>;
}

type Embed = (ids: readonly number[]) => Promise<Float32Array>;

export async function openReferenceDecoder(
  folder: string,
  embed: Embed,
): Promise<ReferenceDecoder> {
  const isStep = existsSync(`${folder}/onnx/decoder_step.onnx`);
  const file = `${folder}/onnx/${isStep ? "decoder_step" : "decoder_model_merged"}.onnx`;
  const graph = await InferenceSession.create(file, { intraOpNumThreads: 1 });
  const logitsAfter = isStep ? stepByStep(graph, embed) : wholePrefix(graph, embed);
  return { logitsAfter, release: () => graph.release() };
}

/** No cache: the public graph reads the whole prefix, as if every step were the first. */
function wholePrefix(graph: InferenceSession, embed: Embed): ReferenceDecoder["logitsAfter"] {
  return async (ids, { outputs, mask }) => {
    const feeds: Record<string, Tensor> = {
      inputs_embeds: new Tensor("float32", await embed(ids), [1, ids.length, width]),
      encoder_hidden_states: tensor(outputs, "last_hidden_state"),
      encoder_attention_mask: mask,
      use_cache_branch: new Tensor("bool", [false], [1]),
    };
    for (const name of graph.inputNames.filter((input) => input.startsWith("past_key_values"))) {
      feeds[name] = new Tensor("float32", new Float32Array(), [1, heads, 0, width / heads]);
    }
    if (Object.keys(feeds).length !== 4 + 4 * layers)
      throw new Error("The reference is written for two layers.");
    const all = floats(await graph.run(feeds), "logits");
    return all.slice(all.length - all.length / ids.length);
  };
}

interface Prefix {
  readonly logits: Float32Array;
  /** By cache: the vector of each token. */
  readonly said: ReadonlyMap<string, readonly Float32Array[]>;
}

/**
 * The step graph with one row and the whole head: every prefix is made of the one before, and keeps
 * a list of vectors of its own.
 */
function stepByStep(graph: InferenceSession, embed: Embed): ReferenceDecoder["logitsAfter"] {
  const sides = Array.from({ length: layers }, (_, layer) => [
    `${layer}.decoder.key`,
    `${layer}.decoder.value`,
  ]).flat();
  const known = new WeakMap<Seen, Map<string, Promise<Prefix>>>();

  function prefix(ids: readonly number[], seen: Seen): Promise<Prefix> {
    const ofSeen = known.get(seen) ?? new Map<string, Promise<Prefix>>();
    known.set(seen, ofSeen);
    const made = ofSeen.get(ids.join()) ?? make(ids, seen);
    ofSeen.set(ids.join(), made);
    return made;
  }

  async function make(ids: readonly number[], seen: Seen): Promise<Prefix> {
    const before = ids.length > 1 ? await prefix(ids.slice(0, -1), seen) : null;
    const feeds: Record<string, Tensor> = {
      inputs_embeds: new Tensor("float32", await embed(ids.slice(-1)), [1, width]),
      position: new Tensor("int64", [BigInt(ids.length - 1)], [1]),
      encoder_attention_mask: seen.mask,
      past_bias: new Tensor(
        "float32",
        [Number.NEGATIVE_INFINITY, ...Array(ids.length - 1).fill(0)],
        [1, 1, ids.length],
      ),
      locations_only: new Tensor("bool", [false], [1]),
    };
    for (const name of sides) {
      const past = [new Float32Array(width), ...(before?.said.get(name) ?? [])].flatMap(
        (vector) => [...vector],
      );
      feeds[`past_key_values.${name}`] = new Tensor("float32", past, [
        ids.length,
        heads,
        width / heads,
      ]);
      feeds[`past_key_values.${name.replace("decoder", "encoder")}`] = tensor(
        seen.outputs,
        `present.${name.replace("decoder", "encoder")}`,
      );
    }
    const results = await graph.run(feeds);
    const said = sides.map(
      (name) =>
        [name, [...(before?.said.get(name) ?? []), floats(results, `present.${name}`)]] as const,
    );
    return { logits: floats(results, "logits"), said: new Map(said) };
  }

  return async (ids, seen) => (await prefix(ids, seen)).logits;
}

export function floats(outputs: InferenceSession.ReturnType, name: string): Float32Array {
  const { data } = tensor(outputs, name);
  if (data instanceof Float32Array) return data;
  throw new Error(`${name} is not float32.`);
}

function tensor(outputs: InferenceSession.ReturnType, name: string): Tensor {
  const output = outputs[name];
  if (output instanceof Tensor) return output;
  throw new Error(`No ${name}.`);
}
