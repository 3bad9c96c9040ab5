import path from "node:path";
import { readManifest } from "../adapters/model-manifest.ts";
import type { ModelInfo } from "../core/ports.ts";
import { readModelConfig } from "../inference/florence2/model-config.ts";
import { findModelFiles, type ModelFiles } from "../inference/florence2/model-files.ts";
import { InferenceSession } from "../inference/onnx-runtime.ts";
import { checkChecksums, compareFiles } from "./checksums.ts";
import { describeError } from "./failure.ts";
import { shortNames } from "./known-models.ts";

export interface Verification {
  readonly model: string;
  /** Whether the files were compared with a SHA256SUMS, or with the list in a vedere.json. */
  readonly hasChecksums: boolean;
  /** What is wrong; nothing is where the model is sound. */
  readonly faults: readonly string[];
}

/**
 * Checks a model's folder: the files against their checksums, and every graph by opening it and
 * comparing its inputs and outputs with the public layout or that of a built model.
 */
export async function verifyModel(info: ModelInfo): Promise<Verification> {
  const faults = info.fault === null ? [] : [info.fault];
  const listed = await readManifest(info.folder).then(
    (manifest) => manifest?.files ?? null,
    tell(faults),
  );
  const changed = await checkChecksums(info.folder);
  faults.push(...(changed ?? []), ...(listed ? await compareFiles(info.folder, listed) : []));
  try {
    const files = await findModelFiles(info);
    const { layers } = (await readModelConfig(info.folder)).decoder;
    for (const [file, layouts] of graphsOf(files, layers))
      faults.push(...(await checkGraph(info.folder, file, layouts)));
  } catch (error) {
    tell(faults)(error);
  }
  return {
    model: info.id,
    hasChecksums: changed !== null || listed !== null,
    faults: [...new Set(faults)],
  };
}

/** What every graph file must have. */
function graphsOf(files: ModelFiles, layers: number): Map<string, Layout[]> {
  const graphs = new Map<string, Layout[]>();
  const expect = (file: string, layout: Layout) =>
    graphs.set(file, [...(graphs.get(file) ?? []), layout]);
  const seen = (prefix: string) => caches(prefix, layers, ["encoder"]);
  const said = (prefix: string) => caches(prefix, layers, ["decoder"]);
  expect(files.vision, { inputs: ["pixel_values"], outputs: ["image_features"] });
  expect(files.embed, { inputs: ["input_ids"], outputs: ["inputs_embeds"] });
  expect(files.encoder, {
    inputs: ["inputs_embeds", "attention_mask"],
    outputs: ["last_hidden_state", ...(files.layout === "step" ? seen("present") : [])],
  });
  if (files.layout === "step") {
    const steps = [
      "inputs_embeds",
      "position",
      "encoder_attention_mask",
      "past_bias",
      "locations_only",
    ];
    expect(files.decoder.next, {
      inputs: [...steps, ...seen("past_key_values"), ...said("past_key_values")],
      outputs: ["logits", ...said("present")],
    });
    return graphs;
  }
  expect(files.decoder.first, {
    inputs: ["inputs_embeds", "encoder_hidden_states", "encoder_attention_mask"],
    outputs: ["logits", ...said("present"), ...seen("present")],
  });
  expect(files.decoder.next, {
    inputs: [
      "inputs_embeds",
      "encoder_attention_mask",
      ...said("past_key_values"),
      ...seen("past_key_values"),
    ],
    outputs: ["logits", ...said("present")],
  });
  return graphs;
}

/** For a promise's rejection: writes down what is wrong. */
function tell(faults: string[]): (error: unknown) => null {
  return (error) => {
    faults.push(describeError(error).message);
    return null;
  };
}

/** How to mend a model that is not sound. */
export function howToMend({ id, folder }: Pick<ModelInfo, "id" | "folder">): string {
  return shortNames.includes(id)
    ? `Fetch it anew with \`vedere models pull ${id}\`.`
    : `Restore ${folder} from where it came, or build it anew with \`vedere models build\`.`;
}

/** Names that a graph must have; it may have more. */
interface Layout {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

async function checkGraph(
  folder: string,
  file: string,
  layouts: readonly Layout[],
): Promise<string[]> {
  let session: InferenceSession;
  try {
    session = await InferenceSession.create(path.join(folder, file), {
      executionProviders: ["cpu"],
      logSeverityLevel: 4,
    });
  } catch (error) {
    return [`${file} does not open: ${error instanceof Error ? error.message : String(error)}`];
  }
  const missing = layouts.flatMap(({ inputs, outputs }) => [
    ...inputs.filter((name) => !session.inputNames.includes(name)).map((name) => `input ${name}`),
    ...outputs
      .filter((name) => !session.outputNames.includes(name))
      .map((name) => `output ${name}`),
  ]);
  await session.release();
  return missing.length === 0 ? [] : [`${file} lacks ${[...new Set(missing)].join(", ")}`];
}

function caches(prefix: string, layers: number, sides: readonly string[]): string[] {
  const each = Array.from({ length: layers }, (_, layer) =>
    sides.map((side) => `${prefix}.${layer}.${side}`),
  ).flat();
  return each.flatMap((cache) => [`${cache}.key`, `${cache}.value`]);
}
