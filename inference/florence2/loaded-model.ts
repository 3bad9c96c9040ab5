import { AppError } from "../../core/errors.ts";
import type { Precision } from "../../core/model-layout.ts";
import type { EngineAnswer, ModelInfo, Models } from "../../core/ports.ts";
import type { SpecialTokens } from "./beam.ts";
import { type Graphs, openGraphs } from "./graphs.ts";
import { type ModelConfig, readModelConfig, unusable } from "./model-config.ts";
import { findModelFiles, hashModelFiles, precisionName } from "./model-files.ts";
import { openTokens, type Tokens } from "./tokens.ts";

/** A model in memory: its graphs, its tokenizer and what its files say about it. */
export interface LoadedModel {
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
 * Reads a model's files and opens its graphs. Throws AppError MODEL_NOT_FOUND or MODEL_UNAVAILABLE.
 */
export async function loadModel(
  models: Models,
  id: string,
  settings: { executionProviders: readonly string[]; threads: number | null },
): Promise<LoadedModel> {
  const info = (await models.list()).find((model) => model.id === id);
  if (!info)
    throw new AppError("MODEL_NOT_FOUND", `There is no model ${id}.`, {
      fix: "See `vedere models list`.",
    });
  const [config, tokens, files] = await Promise.all([
    readModelConfig(info.folder),
    openTokens(info.folder),
    findModelFiles(info),
  ]);
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
    special: {
      start: config.decoder.startToken,
      bos: tokens.bos,
      eos: tokens.eos,
      count: tokens.count,
      locations: { first: firstLocation(tokens), count: locations },
    },
    graphs,
    batches: !Object.values(files.precisions).some(isScaledByTensor),
  };
}

/** Bins of each axis. */
const locations = 1000;

function firstLocation({ encode }: Tokens): number {
  const [first = 0, last = 0] = [0, locations - 1].map((bin) => encode(`<loc_${bin}>`)[1]);
  if (last === first + locations - 1) return first;
  throw unusable("tokenizer.json", "does not have the tokens <loc_0> to <loc_999> in a row");
}

/**
 * These files quantize activations while they run, with one scale for the whole tensor: in a batch
 * the neighbours would change an answer, so each prompt and each image goes alone (beams of one
 * prompt still go together).
 */
function isScaledByTensor(precision: Precision): boolean {
  return precision === "q8" || precision === "int8" || precision === "uint8";
}
