import path from "node:path";
import { listSupportedBackends } from "onnxruntime-node";
import { AppError } from "../../core/errors.ts";
import { type Graph, openGraph, type RunSettings } from "./graph.ts";
import type { ModelFiles } from "./model-files.ts";

/**
 * The four graphs of Florence-2 in the public ONNX layout. B images or rows, N image tokens, S prompt tokens, D width, T past tokens.
 *
 *     vision          pixel_values [B, 3, H, W] → image_features [B, N, D]
 *     embed           input_ids [B, S] → inputs_embeds [B, S, D]
 *     encoder         inputs_embeds [B, N + S, D], attention_mask [B, N + S] → last_hidden_state [B, N + S, D]
 *     decoder.first   inputs_embeds [B, 1, D], encoder_hidden_states, encoder_attention_mask → logits [B, 1, V], present.{layer}.…
 *     decoder.next    the same and past_key_values.{layer}.{decoder,encoder}.{key,value} [B, heads, T or N + S, D / heads]
 */
export interface Graphs {
  readonly vision: Graph;
  readonly embed: Graph;
  readonly encoder: Graph;
  /** The same graph twice where both branches are merged: its input use_cache_branch chooses. */
  readonly decoder: { readonly first: Graph; readonly next: Graph };
  readonly executionProvider: string;
  release(): Promise<void>;
}

/**
 * Loads all graphs on the first execution provider of the list that works; never on one that is not in the list (though a provider
 * leaves operators that it lacks to the CPU). Throws AppError MODEL_UNAVAILABLE.
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
      failures.push(`${executionProvider}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new AppError("MODEL_UNAVAILABLE", `The model in ${folder} cannot be loaded. ${failures.join("; ")}.`, {
    fix: "Name an execution provider that works here (cpu always does), and check the files with `vedere models verify`.",
  });
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
    const embed = await open(files.embed);
    const encoder = await open(files.encoder);
    const first = await open(files.decoder.first);
    const next = files.decoder.next === files.decoder.first ? first : await open(files.decoder.next);
    return { vision, embed, encoder, decoder: { first, next }, executionProvider: settings.executionProvider, release };
  } catch (error) {
    await release();
    throw error;
  }
}
