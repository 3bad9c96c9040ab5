import { copyFile, mkdir, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { AppError } from "../../core/errors.ts";
import { type GraphName, precisionSuffixes } from "../../core/model-layout.ts";
import { readJson } from "../florence2/model-config.ts";
import type { Precisions } from "../florence2/model-files.ts";
import { openTokens } from "../florence2/tokens.ts";
import { arithmeticOf, type BuiltPrecision, builtPrecisions } from "./arithmetic.ts";
import { type Checkpoint, openCheckpoint } from "./checkpoint.ts";
import { decoderStepGraph } from "./decoder-graph.ts";
import { embedGraph } from "./embed-graph.ts";
import { encoderGraph } from "./encoder-graph.ts";
import { correctedGeneration } from "./generation.ts";
import { elements, type Graph } from "./onnx/graph.ts";
import { writeGraph } from "./onnx/write.ts";
import type { Arithmetic } from "./precision.ts";
import { type ModelShape, readShape } from "./shape.ts";
import { visionGraph } from "./vision-graph.ts";

/** Where a model is built from. */
export interface BuildSource {
  /** A checkpoint's folder, or a LoRA adapter's. */
  readonly checkpoint: string;
  /** The checkpoint that an adapter was trained on; null where `checkpoint` is whole. */
  readonly base: string | null;
}

/** All that is known before anything is written. */
export interface BuildPlan {
  readonly source: BuildSource;
  readonly shape: ModelShape;
  readonly precisions: Precisions;
  /** Of all weights, as they will be written. */
  readonly bytes: number;
  /** What the checkpoint has wrong and the built model right. */
  readonly warnings: readonly string[];
}

type Make = (shape: ModelShape, checkpoint: Checkpoint, arithmetic: Arithmetic) => Graph;

/** Each graph by the name that its precision goes by: the file's name, and how it is made. */
const makers: Readonly<Record<GraphName, { file: string; make: Make }>> = {
  vision_encoder: {
    file: "vision_encoder",
    make: ({ vision }, ...rest) => visionGraph(vision, ...rest),
  },
  embed_tokens: { file: "embed_tokens", make: ({ text }, ...rest) => embedGraph(text, ...rest) },
  encoder_model: {
    file: "encoder_model",
    make: ({ text }, ...rest) => encoderGraph(text, ...rest),
  },
  decoder_model_merged: {
    file: "decoder_step",
    make: ({ text }, ...rest) => decoderStepGraph(text, ...rest),
  },
};

/**
 * Reads and checks a checkpoint: configuration, tokenizer, the shape of every tensor, the tied
 * embedding. Throws AppError: MODEL_UNAVAILABLE, naming file and tensor; INVALID for a precision
 * that models are not built in.
 */
export async function planBuild(source: BuildSource, precisions: Precisions): Promise<BuildPlan> {
  await requireBase(source);
  const settings = source.base ?? source.checkpoint;
  const [shape, tokens] = await Promise.all([readShape(settings), openTokens(settings)]);
  const { warnings } = await correctedGeneration(settings, tokens);
  const checkpoint = await openCheckpoint(source.checkpoint, source.base);
  const graphs = graphsOf({ shape, precisions }, checkpoint);
  checkpoint.finish();
  await checkpoint.checkValues();
  const bytes = graphs.reduce((sum, { graph }) => sum + bytesOf(graph), 0);
  return { source, shape, precisions, bytes, warnings };
}

/**
 * Writes a planned model into an existing folder: onnx/ in the step layout, configuration and
 * tokenizer. One weight is in memory at a time. `onBytes` hears of every weight written; what it
 * throws ends the build.
 */
export async function writeBuild(
  plan: BuildPlan,
  folder: string,
  onBytes: (bytes: number, file: string) => void,
): Promise<void> {
  const { source } = plan;
  const settings = source.base ?? source.checkpoint;
  await mkdir(path.join(folder, "onnx"), { recursive: true });
  for (const file of ["config.json", "tokenizer.json", "preprocessor_config.json"]) {
    await copyFile(path.join(settings, file), path.join(folder, file));
  }
  const { json } = await correctedGeneration(settings, await openTokens(settings));
  await writeFile(
    path.join(folder, "generation_config.json"),
    `${JSON.stringify(json, null, 2)}\n`,
  );
  const checkpoint = await openCheckpoint(source.checkpoint, source.base);
  for (const { file, graph } of graphsOf(plan, checkpoint)) {
    await writeGraph(path.join(folder, file), graph, (bytes) => onBytes(bytes, file));
  }
}

/** What peft writes beside an adapter's weights. */
const adapterFile = "adapter_config.json";

async function requireBase({ checkpoint, base }: BuildSource): Promise<void> {
  const isAdapter = (await readdir(checkpoint)).includes(adapterFile);
  if (isAdapter && base === null) {
    const { base_model_name_or_path: name } = await readJson(checkpoint, adapterFile);
    throw new AppError(
      "INVALID",
      `${checkpoint} holds a LoRA adapter, which needs its base${name ? `, ${String(name)}` : ""}.`,
      {
        fix: "Name the base's folder with --base.",
      },
    );
  }
  if (!isAdapter && base !== null) {
    throw new AppError(
      "INVALID",
      `${checkpoint} holds no ${adapterFile}: it is no LoRA adapter, and needs no base.`,
      {
        fix: "Leave --base out.",
      },
    );
  }
}

function graphsOf(
  { shape, precisions }: Pick<BuildPlan, "shape" | "precisions">,
  checkpoint: Checkpoint,
): { file: string; graph: Graph }[] {
  return (Object.keys(makers) as GraphName[]).map((name) => {
    const precision = builtPrecision(precisions[name]);
    const { file, make } = makers[name];
    return {
      file: `onnx/${file}${precisionSuffixes[precision]}.onnx`,
      graph: make(shape, checkpoint, arithmeticOf(precision)),
    };
  });
}

function builtPrecision(name: string): BuiltPrecision {
  const precision = builtPrecisions.find((each) => each === name);
  if (precision) return precision;
  throw new AppError("INVALID", `Models are not built in ${name}.`, {
    fix: `Choose ${builtPrecisions.join(", ")}.`,
  });
}

function bytesOf({ weights }: Graph): number {
  return weights.reduce(
    (sum, { element, dims }) =>
      sum + dims.reduce((product, size) => product * size, elements[element].bytes),
    0,
  );
}
