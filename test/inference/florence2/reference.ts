import { readFileSync } from "node:fs";
import { Tokenizer } from "@huggingface/tokenizers";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { nanoFolder } from "./fixtures.ts";

/**
 * Generation as transformers defines it, written down as plainly as it can be and independently of the engine: no cache (the decoder reads
 * the whole prefix at each step), no batch (one beam at a time), every candidate sorted. For florence-2-nano only.
 */
export interface ReferenceOptions {
  beams: number;
  maxTokens: number;
  noRepeatNgramSize: number;
  lengthPenalty: number;
  earlyStopping: boolean | "never";
}

export interface ReferenceAnswer {
  /** Without the start token. */
  ids: number[];
  logProbabilities: number[];
}

interface Sequence {
  ids: number[];
  logProbabilities: number[];
  score: number;
}

const bos = 0;
const eos = 2;
const width = 128;
const heads = 8;
const layers = 2;
const impossible = -1e9; // what the reference writes where a beam must not be chosen

export async function openReference() {
  const open = (graph: string) => InferenceSession.create(`${nanoFolder}/onnx/${graph}.onnx`, { intraOpNumThreads: 1 });
  const embedGraph = await open("embed_tokens");
  const encoderGraph = await open("encoder_model");
  const decoderGraph = await open("decoder_model_merged");
  const tokenizer = new Tokenizer(JSON.parse(readFileSync(`${nanoFolder}/tokenizer.json`, "utf8")), {});

  async function embed(ids: number[]): Promise<Float32Array> {
    const input = new Tensor("int64", BigInt64Array.from(ids, BigInt), [1, ids.length]);
    return floats(await embedGraph.run({ input_ids: input }), "inputs_embeds");
  }

  /** log_softmax of the logits after a prefix. */
  async function logSoftmaxAfter(ids: number[], hidden: Tensor, mask: Tensor): Promise<number[]> {
    const feeds: Record<string, Tensor> = {
      inputs_embeds: new Tensor("float32", await embed(ids), [1, ids.length, width]),
      encoder_hidden_states: hidden,
      encoder_attention_mask: mask,
      use_cache_branch: new Tensor("bool", [false], [1]),
    };
    for (const name of decoderGraph.inputNames.filter((input) => input.startsWith("past_key_values"))) {
      feeds[name] = new Tensor("float32", new Float32Array(), [1, heads, 0, width / heads]);
    }
    if (Object.keys(feeds).length !== 4 + 4 * layers) throw new Error("The reference is written for two layers.");
    const all = floats(await decoderGraph.run(feeds), "logits");
    const last = Array.from(all.subarray(all.length - all.length / ids.length));
    const largest = Math.max(...last);
    const normalizer = largest + Math.log(last.reduce((sum, logit) => sum + Math.exp(logit - largest), 0));
    return last.map((logit) => logit - normalizer);
  }

  async function answer(features: Float32Array, prompt: string, options: ReferenceOptions): Promise<ReferenceAnswer> {
    const promptIds = tokenizer.encode(prompt).ids;
    const length = features.length / width + promptIds.length;
    const mask = new Tensor("int64", new BigInt64Array(length).fill(1n), [1, length]);
    const joined = new Tensor("float32", Float32Array.from([...features, ...(await embed(promptIds))]), [1, length, width]);
    const encoded = await encoderGraph.run({ inputs_embeds: joined, attention_mask: mask });
    const hidden = new Tensor("float32", floats(encoded, "last_hidden_state"), [1, length, width]);
    return search((ids) => logSoftmaxAfter(ids, hidden, mask), options);
  }

  async function close() {
    for (const graph of [embedGraph, encoderGraph, decoderGraph]) await graph.release();
  }
  return { answer, close };
}

/** Searches over any function from a prefix (start token first) to log-probabilities. */
export async function search(logSoftmaxAfter: (ids: number[]) => Promise<number[]>, options: ReferenceOptions): Promise<ReferenceAnswer> {
  return options.beams === 1 ? greedy(logSoftmaxAfter, options) : beamSearch(logSoftmaxAfter, options);
}

async function greedy(logSoftmaxAfter: (ids: number[]) => Promise<number[]>, options: ReferenceOptions): Promise<ReferenceAnswer> {
  const sequence: Sequence = { ids: [2], logProbabilities: [], score: 0 };
  while (sequence.ids.length <= options.maxTokens && (sequence.ids.length === 1 || sequence.ids.at(-1) !== eos)) {
    const raw = await logSoftmaxAfter(sequence.ids);
    const scores = process(raw, sequence.ids, options);
    const token = scores.indexOf(Math.max(...scores));
    sequence.ids.push(token);
    sequence.logProbabilities.push(raw[token] ?? Number.NaN);
  }
  return { ids: sequence.ids.slice(1), logProbabilities: sequence.logProbabilities };
}

async function beamSearch(logSoftmaxAfter: (ids: number[]) => Promise<number[]>, options: ReferenceOptions): Promise<ReferenceAnswer> {
  const { beams, maxTokens, lengthPenalty, earlyStopping } = options;
  let running: Sequence[] = Array.from({ length: beams }, (_, i) => ({ ids: [2], logProbabilities: [], score: i === 0 ? 0 : impossible }));
  let finished: Sequence[] = [];
  for (let generated = 1; generated <= maxTokens; generated += 1) {
    const candidates: Sequence[] = [];
    for (const beam of running) {
      const raw = await logSoftmaxAfter(beam.ids);
      for (const [token, score] of process(raw, beam.ids, options).entries()) {
        const logProbability = raw[token] ?? Number.NaN;
        candidates.push({
          ids: [...beam.ids, token],
          logProbabilities: [...beam.logProbabilities, logProbability],
          score: beam.score + score,
        });
      }
    }
    candidates.sort((a, b) => b.score - a.score);
    const top = candidates.slice(0, 2 * beams);
    const isOver = (candidate: Sequence) => candidate.ids.at(-1) === eos || generated === maxTokens;
    running = top
      .map((candidate) => ({ ...candidate, score: candidate.score + (isOver(candidate) ? impossible : 0) }))
      .sort((a, b) => b.score - a.score)
      .slice(0, beams);
    const ended = top
      .slice(0, beams)
      .filter(isOver)
      .map((candidate) => ({ ...candidate, score: candidate.score / generated ** lengthPenalty }));
    finished = [...finished, ...ended].sort((a, b) => b.score - a.score).slice(0, beams);

    if (finished.length < beams) continue;
    if (earlyStopping === true) break;
    const length = earlyStopping === "never" && lengthPenalty > 0 ? maxTokens : generated;
    const hope = (running[0]?.score ?? impossible) / length ** lengthPenalty;
    if (hope <= (finished.at(-1)?.score ?? impossible)) break;
  }
  const best = finished[0];
  if (!best) throw new Error("Nothing was found.");
  return { ids: best.ids.slice(1), logProbabilities: best.logProbabilities };
}

function process(raw: number[], ids: number[], options: ReferenceOptions): number[] {
  const only = (token: number) => raw.map((_, i) => (i === token ? 0 : Number.NEGATIVE_INFINITY));
  if (ids.length === options.maxTokens) return only(eos);
  if (ids.length === 1) return only(bos);
  const size = options.noRepeatNgramSize;
  if (size === 0) return raw;
  const grams = ids.map((_, start) => ids.slice(start, start + size).join()).filter((_, start) => start + size <= ids.length);
  return raw.map((score, token) => {
    const gram = [...ids, token].slice(-size);
    return gram.length === size && grams.includes(gram.join()) ? Number.NEGATIVE_INFINITY : score;
  });
}

function floats(outputs: InferenceSession.ReturnType, name: string): Float32Array {
  const output = outputs[name];
  if (output instanceof Tensor && output.data instanceof Float32Array) return output.data;
  throw new Error(`No ${name}.`);
}
