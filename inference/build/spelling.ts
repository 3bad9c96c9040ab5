/**
 * From the original spelling of weights (microsoft/*) to transformers' own (florence-community/*),
 * applied in this order.
 */
const renames: readonly (readonly [RegExp, string])[] = [
  [/^vision_tower\./, "model.vision_tower."],
  [/(\.convs\.\d+)\.proj\./, "$1.conv."],
  [/\.(spatial_block|channel_block)\.\d+\./, ".$1."],
  [/\.(conv[12])\.fn\.dw\./, ".$1."],
  [/\.(?:window_attn|channel_attn)\.norm\./, ".norm1."],
  [/\.(window_attn|channel_attn)\.fn\./, ".$1."],
  [/\.ffn\.norm\./, ".norm2."],
  [/\.ffn\.fn\.net\.(fc[12])\./, ".ffn.$1."],
  [/^image_projection$/, "model.multi_modal_projector.image_projection.weight"],
  [/^image_proj_norm\./, "model.multi_modal_projector.image_proj_norm."],
  [/^image_pos_embed\./, "model.multi_modal_projector.image_position_embed."],
  [/^visual_temporal_embed\./, "model.multi_modal_projector.visual_temporal_embed."],
  [/^language_model\.model\./, "model.language_model."],
  [/^language_model\.lm_head\./, "lm_head."],
];

/** A weight's name in transformers' own spelling, whichever it comes in. */
export function nativeName(name: string): string {
  return renames.reduce(
    (spelt, [pattern, replacement]) => spelt.replace(pattern, replacement),
    name,
  );
}

/** Only the original spelling stores this one matrix as [in, out]. */
export function isTransposed(name: string): boolean {
  return name === "image_projection";
}
