import { readFileSync } from "node:fs";
import { Tokenizer } from "@huggingface/tokenizers";
import { InferenceSession, Tensor } from "../../../inference/onnx-runtime.ts";
import { floats, openReferenceDecoder } from "./reference-decoder.ts";

/**
 * Generation as transformers defines it, written down as plainly as it can be and independently of
 * the engine: no shared cache (see reference-decoder.ts), no batch (one beam at a time), every
 * candidate sorted. For florence-2-nano only.
 */
export interface ReferenceOptions {
  beams: number;
  maxTokens: number;
  noRepeatNgramSize: number;
  lengthPenalty: number;
  earlyStopping: boolean | "never";
  /** Ours, not transformers': a group of so many locations is completed once it has begun. */
  locationGroup: number | null;
}

/** The ids of the locations. */
export interface Locations {
  first: number;
  count: number;
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

const width = 128;
const bos = 0;
const eos = 2;
const impossible = -1e9; // what the reference writes where a beam must not be chosen

/** Opens florence-2-nano in either layout. */
export async function openReference(folder: string) {
  const open = (graph: string) =>
    InferenceSession.create(`${folder}/onnx/${graph}.onnx`, { intraOpNumThreads: 1 });
  const embedGraph = await open("embed_tokens");
  const encoderGraph = await open("encoder_model");
  const tokenizer = new Tokenizer(JSON.parse(readFileSync(`${folder}/tokenizer.json`, "utf8")), {});
  const locations = { first: tokenizer.token_to_id("<loc_0>") ?? Number.NaN, count: 1000 };
  const decoder = await openReferenceDecoder(folder, embed);

  async function embed(ids: readonly number[]): Promise<Float32Array> {
    const input = new Tensor("int64", BigInt64Array.from(ids, BigInt), [1, ids.length]);
    return floats(await embedGraph.run({ input_ids: input }), "inputs_embeds");
  }

  async function answer(
    features: Float32Array,
    prompt: string,
    options: ReferenceOptions,
  ): Promise<ReferenceAnswer> {
    const promptIds = tokenizer.encode(prompt).ids;
    const length = features.length / width + promptIds.length;
    const mask = new Tensor("int64", new BigInt64Array(length).fill(1n), [1, length]);
    const joined = new Tensor(
      "float32",
      Float32Array.from([...features, ...(await embed(promptIds))]),
      [1, length, width],
    );
    const seen = {
      outputs: await encoderGraph.run({ inputs_embeds: joined, attention_mask: mask }),
      mask,
    };
    return search(
      async (ids) => logSoftmax(await decoder.logitsAfter(ids, seen)),
      options,
      locations,
    );
  }

  async function close() {
    for (const graph of [embedGraph, encoderGraph, decoder]) await graph.release();
  }
  return { answer, close };
}

function logSoftmax(logits: Float32Array): number[] {
  const all = Array.from(logits);
  const largest = Math.max(...all);
  const normalizer =
    largest + Math.log(all.reduce((sum, logit) => sum + Math.exp(logit - largest), 0));
  return all.map((logit) => logit - normalizer);
}

/** Searches over any function from a prefix (start token first) to log-probabilities. */
export async function search(
  logSoftmaxAfter: (ids: number[]) => Promise<number[]>,
  options: ReferenceOptions,
  locations: Locations,
): Promise<ReferenceAnswer> {
  const grouped = async (ids: number[]) => {
    const all = await logSoftmaxAfter(ids);
    return isInsideGroup(ids, options, locations) ? amongLocations(all, locations) : all;
  };
  return options.beams === 1 ? greedy(grouped, options) : beamSearch(grouped, options);
}

function isInsideGroup(
  ids: number[],
  { locationGroup, maxTokens }: ReferenceOptions,
  { first, count }: Locations,
): boolean {
  const isLocation = (id: number) => id >= first && id < first + count;
  const last = ids.length - ids.findLastIndex((id) => !isLocation(id)) - 1; // locations since anything else
  return locationGroup !== null && last % locationGroup !== 0 && ids.length < maxTokens;
}

function amongLocations(all: number[], { first, count }: Locations): number[] {
  const share = Math.log(
    all.slice(first, first + count).reduce((sum, value) => sum + Math.exp(value), 0),
  );
  return all.map((value, id) =>
    id >= first && id < first + count ? value - share : Number.NEGATIVE_INFINITY,
  );
}

async function greedy(
  logSoftmaxAfter: (ids: number[]) => Promise<number[]>,
  options: ReferenceOptions,
): Promise<ReferenceAnswer> {
  const sequence: Sequence = { ids: [2], logProbabilities: [], score: 0 };
  while (
    sequence.ids.length <= options.maxTokens &&
    (sequence.ids.length === 1 || sequence.ids.at(-1) !== eos)
  ) {
    const raw = await logSoftmaxAfter(sequence.ids);
    const scores = process(raw, sequence.ids, options);
    const token = scores.indexOf(Math.max(...scores));
    sequence.ids.push(token);
    sequence.logProbabilities.push(raw[token] ?? Number.NaN);
  }
  return { ids: sequence.ids.slice(1), logProbabilities: sequence.logProbabilities };
}

async function beamSearch(
  logSoftmaxAfter: (ids: number[]) => Promise<number[]>,
  options: ReferenceOptions,
): Promise<ReferenceAnswer> {
  const { beams, maxTokens, lengthPenalty, earlyStopping } = options;
  let running: Sequence[] = Array.from({ length: beams }, (_, i) => ({
    ids: [2],
    logProbabilities: [],
    score: i === 0 ? 0 : impossible,
  }));
  let finished: Sequence[] = [];
  for (let generated = 1; generated <= maxTokens; generated += 1) {
    const candidates: { beam: Sequence; raw: number[]; token: number; score: number }[] = [];
    for (const beam of running) {
      const raw = await logSoftmaxAfter(beam.ids);
      for (const [token, score] of process(raw, beam.ids, options).entries()) {
        candidates.push({ beam, raw, token, score: beam.score + score });
      }
    }
    candidates.sort((a, b) => b.score - a.score);
    const top = candidates.slice(0, 2 * beams).map(
      ({ beam, raw, token, score }): Sequence => ({
        ids: [...beam.ids, token],
        logProbabilities: [...beam.logProbabilities, raw[token] ?? Number.NaN],
        score,
      }),
    );
    const isOver = (candidate: Sequence) => candidate.ids.at(-1) === eos || generated === maxTokens;
    running = top
      .map((candidate) => ({
        ...candidate,
        score: candidate.score + (isOver(candidate) ? impossible : 0),
      }))
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
  const grams = ids
    .map((_, start) => ids.slice(start, start + size).join())
    .filter((_, start) => start + size <= ids.length);
  return raw.map((score, token) => {
    const gram = [...ids, token].slice(-size);
    return gram.length === size && grams.includes(gram.join()) ? Number.NEGATIVE_INFINITY : score;
  });
}
