import path from "node:path";
import { AppError } from "../../core/errors.ts";
import { listSupportedBackends } from "../onnx-runtime.ts";
import { type Embedding, readEmbedding, runEmbedding } from "./embedding.ts";
import { type Graph, openGraph, type RunSettings } from "./graph.ts";
import type { ModelFiles } from "./model-files.ts";

/**
 * The graphs of Florence-2. B images, Q questions, N image tokens, S prompt tokens, L = N + S, D
 * width.
 *
 *     vision    pixel_values [B, 3, H, W] → image_features [B, N, D]
 *     embed     rows of a table; its graph's session is opened only where it is more than that
 *     encoder   inputs_embeds [Q, L, D], attention_mask [Q, L] → last_hidden_state [Q, L, D]
 *               and in the step layout present.{layer}.encoder.{key,value} [Q, heads, L, D / heads]
 */
export interface Graphs {
  readonly vision: Graph;
  readonly embed: Embedding;
  readonly encoder: Graph;
  readonly decoder: PublicDecoder | StepDecoder;
  readonly executionProvider: string;
  release(): Promise<void>;
}

/**
 * The decoder in the public layout. R rows, P past tokens.
 *
 *     first   inputs_embeds [R, 1, D], encoder_hidden_states [R, L, D], encoder_attention_mask [R, L] → logits [R, 1, V],
 *             present.{layer}.{decoder,encoder}.{key,value}
 *     next    the same and past_key_values.{layer}.{decoder,encoder}.{key,value} [R, heads, P or L, D / heads]
 */
export interface PublicDecoder {
  readonly layout: "public";
  readonly first: Graph;
  /** The same graph where both branches are merged: its input use_cache_branch chooses. */
  readonly next: Graph;
}

/**
 * The decoder as `vedere models build` writes it. R = Q · K rows, row q · K + k the beam k of
 * question q.
 *
 *     step    inputs_embeds [R, D], position [1], encoder_attention_mask [Q, L], past_key_values.{layer}.encoder.{key,value} [Q, heads, L, D / heads],
 *             past_key_values.{layer}.decoder.{key,value} [P + 1, R · heads, D / heads], past_bias [1, 1, P + 1], locations_only [1]
 *             → logits [R, V or 1000], present.{layer}.decoder.{key,value} [R, D]
 */
export interface StepDecoder {
  readonly layout: "step";
  readonly step: Graph;
}

/**
 * Loads all graphs on the first execution provider of the list that works; never on one that is not
 * in the list (though a provider leaves operators that it lacks to the CPU). Throws AppError
 * MODEL_UNAVAILABLE.
 */
export async function openGraphs(
  folder: string,
  files: ModelFiles,
  settings: { executionProviders: readonly string[]; threads: number | null },
): Promise<Graphs> {
  const known = listSupportedBackends().map((backend) => backend.name);
  const failures: string[] = [];
  for (const executionProvider of settings.executionProviders) {
    if (!known.includes(executionProvider)) {
      failures.push(`${executionProvider}: unknown here, known are ${known.join(", ")}`);
      continue;
    }
    try {
      return await openAll(folder, files, { executionProvider, threads: settings.threads });
    } catch (error) {
      failures.push(
        `${executionProvider}: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
  throw new AppError(
    "MODEL_UNAVAILABLE",
    `The model in ${folder} cannot be loaded. ${failures.join("; ")}.`,
    {
      fix: "Name an execution provider that works here (cpu always does), and check the files with `vedere models verify`.",
    },
  );
}

async function openAll(folder: string, files: ModelFiles, settings: RunSettings): Promise<Graphs> {
  const opened: Graph[] = [];
  const release = async () => {
    await Promise.all(opened.map((graph) => graph.release()));
  };
  const open = async (file: string) => {
    const graph = await openGraph(path.join(folder, file), settings);
    opened.push(graph);
    return graph;
  };
  try {
    const vision = await open(files.vision);
    const embed =
      (await readEmbedding(path.join(folder, files.embed))) ??
      runEmbedding(await open(files.embed));
    const encoder = await open(files.encoder);
    const decoder = await openDecoder(files, open);
    if (decoder.layout === "step" && !encoder.outputNames.includes("present.0.encoder.key")) {
      throw new Error(
        `${files.encoder} was not made for ${files.decoder.first}: it lacks the output present.0.encoder.key`,
      );
    }
    return {
      vision,
      embed,
      encoder,
      decoder,
      executionProvider: settings.executionProvider,
      release,
    };
  } catch (error) {
    await release();
    throw error;
  }
}

async function openDecoder(
  { layout, decoder }: ModelFiles,
  open: (file: string) => Promise<Graph>,
): Promise<PublicDecoder | StepDecoder> {
  const first = await open(decoder.first);
  if (layout === "step") return { layout, step: first };
  return { layout, first, next: decoder.next === decoder.first ? first : await open(decoder.next) };
}
