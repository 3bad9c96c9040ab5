/**
 * The ONNX layouts of Florence-2: the graphs in a model's folder onnx/, and what is appended to
 * their names in each precision.
 */

/**
 * In this order they are run; the merged decoder may be split into decoder_model and
 * decoder_with_past_model.
 */
export const graphNames = [
  "vision_encoder",
  "embed_tokens",
  "encoder_model",
  "decoder_model_merged",
] as const;
/**
 * In the place of decoder_model_merged, and preferred to it, in the layout that `vedere models
 * build` writes: one step at a time.
 */
export const stepDecoder = "decoder_step";
export type GraphName = (typeof graphNames)[number];

/** The preferred first. Last q4f16, whose merged decoder ONNX Runtime does not load. */
export const precisionSuffixes = {
  fp32: "",
  fp16: "_fp16",
  q8: "_quantized",
  int8: "_int8",
  uint8: "_uint8",
  q4: "_q4",
  bnb4: "_bnb4",
  q4f16: "_q4f16",
} as const;
export type Precision = keyof typeof precisionSuffixes;
