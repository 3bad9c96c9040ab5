import path from "node:path";
import { InferenceSession } from "onnxruntime-node";
import type { ModelInfo } from "../core/ports.ts";
import { readModelConfig } from "../inference/florence2/model-config.ts";
import { findModelFiles } from "../inference/florence2/model-files.ts";
import { checkChecksums } from "./checksums.ts";
import { describeError } from "./failure.ts";
import { shortNames } from "./known-models.ts";

export interface Verification {
  readonly model: string;
  /** Whether the files were compared with a SHA256SUMS. */
  readonly hasChecksums: boolean;
  /** What is wrong; nothing is where the model is sound. */
  readonly faults: readonly string[];
}

/** Checks a model's folder: the files against their checksums, and every graph by opening it and comparing its inputs and outputs with the public layout. */
export async function verifyModel(info: ModelInfo): Promise<Verification> {
  const changed = await checkChecksums(info.folder);
  const faults = [...(changed ?? [])];
  try {
    const files = await findModelFiles(info);
    const { layers } = (await readModelConfig(info.folder)).decoder;
    const graphs = new Map<string, Layout[]>();
    const expect = (file: string, layout: Layout) => graphs.set(file, [...(graphs.get(file) ?? []), layout]);
    expect(files.vision, { inputs: ["pixel_values"], outputs: ["image_features"] });
    expect(files.embed, { inputs: ["input_ids"], outputs: ["inputs_embeds"] });
    expect(files.encoder, { inputs: ["inputs_embeds", "attention_mask"], outputs: ["last_hidden_state"] });
    expect(files.decoder.first, {
      inputs: ["inputs_embeds", "encoder_hidden_states", "encoder_attention_mask"],
      outputs: ["logits", ...caches("present", layers, ["decoder", "encoder"])],
    });
    expect(files.decoder.next, {
      inputs: ["inputs_embeds", "encoder_attention_mask", ...caches("past_key_values", layers, ["decoder", "encoder"])],
      outputs: ["logits", ...caches("present", layers, ["decoder"])],
    });
    for (const [file, layouts] of graphs) faults.push(...(await checkGraph(info.folder, file, layouts)));
  } catch (error) {
    faults.push(describeError(error).message);
  }
  return { model: info.id, hasChecksums: changed !== null, faults };
}

/** How to mend a model that is not sound. */
export function howToMend({ id, folder }: Pick<ModelInfo, "id" | "folder">): string {
  return shortNames.includes(id) ? `Fetch it anew with \`vedere models pull ${id}\`.` : `Restore ${folder} from where it came.`;
}

/** Names that a graph must have; it may have more. */
interface Layout {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

async function checkGraph(folder: string, file: string, layouts: readonly Layout[]): Promise<string[]> {
  let session: InferenceSession;
  try {
    session = await InferenceSession.create(path.join(folder, file), { executionProviders: ["cpu"], logSeverityLevel: 4 });
  } catch (error) {
    return [`${file} does not open: ${error instanceof Error ? error.message : String(error)}`];
  }
  const missing = layouts.flatMap(({ inputs, outputs }) => [
    ...inputs.filter((name) => !session.inputNames.includes(name)).map((name) => `input ${name}`),
    ...outputs.filter((name) => !session.outputNames.includes(name)).map((name) => `output ${name}`),
  ]);
  await session.release();
  return missing.length === 0 ? [] : [`${file} lacks ${[...new Set(missing)].join(", ")}`];
}

function caches(prefix: string, layers: number, sides: readonly string[]): string[] {
  const each = Array.from({ length: layers }, (_, layer) => sides.map((side) => `${prefix}.${layer}.${side}`)).flat();
  return each.flatMap((cache) => [`${cache}.key`, `${cache}.value`]);
}
