import { AppError, asAppError } from "../../core/errors.ts";
import type { Precision } from "../../core/model-layout.ts";
import type { Engine, EngineAnswer, ModelInfo, Models, Sight, SightPrompt } from "../../core/ports.ts";
import type { SpecialTokens } from "./beam.ts";
import { encodeQuestions } from "./encoding.ts";
import { generate, throwIfCanceled } from "./generate.ts";
import { type Graphs, openGraphs } from "./graphs.ts";
import { type ModelConfig, readModelConfig } from "./model-config.ts";
import { findModelFiles, hashModelFiles, precisionName } from "./model-files.ts";
import { type Pixels, readPixels, restrictLoaders } from "./pixels.ts";
import { type SearchOptions, searchOptions } from "./search-options.ts";
import { openTokens, type Tokens } from "./tokens.ts";
import { floatsOf } from "./values.ts";

/** Images of one run of the vision graph. */
const imagesMax = 8;
/** Rows (beams of all prompts) of one run of the decoder: in fp32 the large model's caches of what was seen take 57 MB for each. */
const rowsMax = 24;

interface LoadedModel {
  readonly info: ModelInfo;
  readonly provenance: EngineAnswer["model"];
  readonly config: ModelConfig;
  readonly tokens: Tokens;
  readonly special: SpecialTokens;
  readonly graphs: Graphs;
  /** Whether neighbours in a batch leave an answer as it is. */
  readonly batches: boolean;
}

/**
 * An engine for Florence-2 models in the public ONNX layout. A model is loaded when it is first used and stays loaded until `close`.
 * `executionProviders` are tried in order, and no other is: what is to fall back to the CPU names it last. `threads` are those of one
 * operator; null or absent leaves them to ONNX Runtime. Timings of what went through a graph as one batch are those of the whole batch.
 *
 * Throws AppError: MODEL_NOT_FOUND, MODEL_UNAVAILABLE (what is missing, and the fix), MODEL_FAILED, CANCELED, INVALID (a prompt longer than
 * the model's positions).
 */
export function openEngine(setup: { models: Models; executionProviders?: readonly string[]; threads?: number | null }): Engine {
  const settings = { executionProviders: setup.executionProviders ?? ["cpu"], threads: setup.threads ?? null };
  const loaded = new Map<string, Promise<LoadedModel>>();
  let isClosed = false;
  restrictLoaders();

  function use(id: string): Promise<LoadedModel> {
    if (isClosed) throw new AppError("INTERNAL", "The engine is closed.");
    const known = loaded.get(id);
    if (known) return known;
    const loading = loadModel(setup.models, id, settings);
    loaded.set(id, loading);
    loading.catch(() => loaded.delete(id)); // a later use tries again: the files may have come
    return loading;
  }

  return {
    see: async (model, images, signal) => see(await use(model), images, signal),
    answer: async (model, prompts, signal) => answer(await use(model), prompts, signal),
    async close() {
      isClosed = true;
      const models = await Promise.allSettled(loaded.values());
      loaded.clear();
      await Promise.all(models.map((model) => (model.status === "fulfilled" ? model.value.graphs.release() : null)));
    },
  };
}

async function loadModel(
  models: Models,
  id: string,
  settings: { executionProviders: readonly string[]; threads: number | null },
): Promise<LoadedModel> {
  const info = (await models.list()).find((model) => model.id === id);
  if (!info) throw new AppError("MODEL_NOT_FOUND", `There is no model ${id}.`, { fix: "See `vedere models list`." });
  const [config, tokens, files] = await Promise.all([readModelConfig(info.folder), openTokens(info.folder), findModelFiles(info)]);
  const hashes = await hashModelFiles(info.folder, files);
  const graphs = await openGraphs(info.folder, files, settings);
  return {
    info,
    provenance: {
      id,
      revision: info.revision,
      precision: precisionName(files.precisions),
      executionProvider: graphs.executionProvider,
      files: hashes,
    },
    config,
    tokens,
    special: { start: config.decoder.startToken, bos: tokens.bos, eos: tokens.eos, count: tokens.count },
    graphs,
    batches: !Object.values(files.precisions).some(isScaledByTensor),
  };
}

/**
 * These files quantize activations while they run, with one scale for the whole tensor: in a batch the neighbours would change an answer, so
 * each prompt and each image goes alone (beams of one prompt still go together).
 */
function isScaledByTensor(precision: Precision): boolean {
  return precision === "q8" || precision === "int8" || precision === "uint8";
}

async function see(model: LoadedModel, images: readonly Uint8Array[], signal?: AbortSignal): Promise<(Sight | Error)[]> {
  const sights: (Sight | Error)[] = [];
  for (const chunk of chunks(images, () => 1, model.batches ? imagesMax : 1)) {
    throwIfCanceled(signal);
    const read = await Promise.all(chunk.map((bytes) => readPixels(bytes, model.config.pixels).catch(asAppError)));
    throwIfCanceled(signal);
    const seen = await seePixels(
      model,
      read.flatMap((pixels) => (pixels instanceof Error ? [] : pixels)),
    );
    sights.push(
      ...read.map((pixels) => (pixels instanceof Error ? pixels : (seen.shift() ?? new AppError("INTERNAL", "An image got lost.")))),
    );
  }
  return sights;
}

async function seePixels(model: LoadedModel, images: readonly Pixels[]): Promise<Sight[]> {
  if (images.length === 0) return [];
  const { width, height } = model.config.pixels;
  const started = performance.now();
  const size = 3 * width * height;
  const data = new Float32Array(images.length * size); // [B, 3, H, W]
  images.forEach(({ values }, i) => {
    data.set(values, i * size);
  });
  const { image_features } = await model.graphs.vision.run({ pixel_values: { data, dims: [images.length, 3, height, width] } }, [
    "image_features",
  ]);
  const features = floatsOf(image_features);
  const length = features.length / images.length;
  const visionMs = performance.now() - started;
  return images.map((image, i) => ({
    size: image.size,
    timings: { ...image.timings, visionMs },
    features: features.slice(i * length, (i + 1) * length), // a copy: a sight may outlive its batch
  }));
}

async function answer(model: LoadedModel, prompts: readonly SightPrompt[], signal?: AbortSignal): Promise<EngineAnswer[]> {
  const asked = prompts.map(({ sight, prompt, options }) => ({
    question: { features: sight.features, ids: encodePrompt(model, sight, prompt) },
    options: searchOptions(options, model.info.defaults, model.config),
  }));
  const answers: EngineAnswer[] = [];
  for (const chunk of chunks(asked, ({ options }) => options.beams, model.batches ? rowsMax : 1)) {
    throwIfCanceled(signal);
    answers.push(...(await answerBatch(model, chunk, signal)));
  }
  return answers;
}

async function answerBatch(
  model: LoadedModel,
  asked: readonly { question: { features: Float32Array; ids: readonly number[] }; options: SearchOptions }[],
  signal: AbortSignal | undefined,
): Promise<EngineAnswer[]> {
  const started = performance.now();
  const { config, graphs, special, tokens } = model;
  const questions = asked.map(({ question }) => question);
  const encoding = await encodeQuestions(graphs, questions, { width: config.width, tokens });
  const encodeMs = performance.now() - started;
  const options = asked.map((one) => one.options);
  const found = await generate(graphs, encoding, { options, special, model: config, signal });
  return found.map(({ best, generateMs }, i) => {
    const spoken = tokens.decode(best.ids.slice(1), best.logProbabilities);
    return {
      text: spoken.map((token) => token.text).join(""),
      tokens: spoken,
      finish: best.finish,
      beams: options[i]?.beams ?? 1,
      timings: { encodeMs, generateMs, tokens: spoken.length },
      model: model.provenance,
    };
  });
}

function encodePrompt(model: LoadedModel, sight: Sight, prompt: string): number[] {
  const ids = model.tokens.encode(prompt);
  const room = model.config.positionsMax - sight.features.length / model.config.width;
  if (ids.length <= room) return ids;
  throw new AppError("INVALID", `The prompt has ${ids.length} tokens; the model takes ${room} beside the image.`, {
    fix: "Shorten the text.",
  });
}

/** Cuts a list into stretches whose costs add up to at most `costMax`, or that hold one item only. */
function chunks<Item>(items: readonly Item[], cost: (item: Item) => number, costMax: number): Item[][] {
  const all: Item[][] = [];
  let room = 0;
  for (const item of items) {
    room -= cost(item);
    if (room < 0 || all.length === 0) {
      all.push([]);
      room = costMax - cost(item);
    }
    all.at(-1)?.push(item);
  }
  return all;
}
