import { cacheNames, type Decoding } from "./decoding.ts";
import type { Encoding } from "./encoding.ts";
import type { Graphs } from "./graphs.ts";
import type { ModelConfig } from "./model-config.ts";
import { startPublicDecoding } from "./public-decoding.ts";
import { startStepDecoding } from "./step-decoding.ts";

/** What the decoder reads of the encoder's outputs. */
export function encoderOutputs(
  { decoder }: Pick<Graphs, "decoder">,
  model: Pick<ModelConfig, "decoder">,
): string[] {
  if (decoder.layout === "public") return ["last_hidden_state"];
  return cacheNames(model.decoder.layers, "encoder").map((name) => `present.${name}`);
}

/** Starts with one row for each question of the encoding. */
export function startDecoding(
  { embed, decoder }: Pick<Graphs, "embed" | "decoder">,
  encoding: Encoding,
  model: Pick<ModelConfig, "width" | "decoder">,
): Decoding {
  return decoder.layout === "public"
    ? startPublicDecoding({ embed, decoder }, encoding, model)
    : startStepDecoding({ embed, decoder }, encoding, model);
}
