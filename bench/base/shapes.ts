import type { ModelShape, StageShape } from "../../inference/build/shape.ts";

/**
 * Florence-2-base at its true size, and a model of the same make that is built and run in a second.
 */
export const shapes = { base: baseShape(), tiny: tinyShape() } as const;

/** The settings of a model folder, in transformers' own spelling: file name to content. */
export function settingsOf(shape: ModelShape): Readonly<Record<string, object>> {
  const { vision, text } = shape;
  const { stages } = vision;
  const special = { bos_token_id: 0, pad_token_id: 1, eos_token_id: 2, decoder_start_token_id: 2 };
  return {
    "config.json": {
      model_type: "florence2",
      architectures: ["Florence2ForConditionalGeneration"],
      is_encoder_decoder: true,
      tie_word_embeddings: true,
      vision_config: {
        model_type: "florence_vision",
        embed_dim: stages.map(({ width }) => width),
        depths: stages.map(({ depth }) => depth),
        num_heads: stages.map(({ heads }) => heads),
        num_groups: stages.map(({ groups }) => groups),
        patch_size: stages.map(({ patch }) => patch.size),
        patch_stride: stages.map(({ patch }) => patch.stride),
        patch_padding: stages.map(({ patch }) => patch.padding),
        patch_prenorm: stages.map(({ patch }) => patch.normFirst),
        window_size: vision.window,
        mlp_ratio: vision.mlpRatio,
        projection_dim: vision.projection,
        max_position_embeddings: vision.positionsMax,
        max_temporal_embeddings: vision.framesMax,
        in_channels: 3,
        activation_function: "gelu",
        qkv_bias: true,
        drop_path_rate: 0,
      },
      text_config: {
        model_type: "bart",
        vocab_size: text.vocabulary,
        d_model: text.width,
        encoder_layers: text.encoder.layers,
        decoder_layers: text.decoder.layers,
        encoder_attention_heads: text.encoder.heads,
        decoder_attention_heads: text.decoder.heads,
        encoder_ffn_dim: text.encoder.middle,
        decoder_ffn_dim: text.decoder.middle,
        max_position_embeddings: text.positionsMax,
        activation_function: "gelu",
        scale_embedding: false,
        is_encoder_decoder: true,
        tie_word_embeddings: true,
        ...special,
      },
    },
    // Florence-2's own way to search, except for the beams, which every measurement names.
    "generation_config.json": {
      ...special,
      forced_bos_token_id: 0,
      forced_eos_token_id: 2,
      num_beams: 1,
      no_repeat_ngram_size: 3,
      early_stopping: true,
    },
    "preprocessor_config.json": {
      image_processor_type: "CLIPImageProcessor",
      processor_class: "Florence2Processor",
      do_resize: true,
      do_center_crop: false,
      do_rescale: true,
      do_normalize: true,
      do_convert_rgb: true,
      size: vision.image,
      resample: 3, // bicubic
      rescale_factor: 1 / 255,
      image_mean: [0.485, 0.456, 0.406],
      image_std: [0.229, 0.224, 0.225],
    },
    "tokenizer_config.json": {
      tokenizer_class: "BartTokenizer",
      bos_token: "<s>",
      pad_token: "<pad>",
      eos_token: "</s>",
      unk_token: "<unk>",
    },
  };
}

function baseShape(): ModelShape {
  const layers = { layers: 6, heads: 12, middle: 3072 };
  return {
    vision: {
      image: { width: 768, height: 768 },
      stages: stagesOf([128, 256, 512, 1024], [1, 1, 9, 1]),
      window: 12,
      mlpRatio: 4,
      projection: 768,
      positionsMax: 50,
      framesMax: 100,
    },
    text: {
      width: 768,
      encoder: layers,
      decoder: layers,
      positionsMax: 1024,
      vocabulary: 51289,
      firstLocation: 50269,
    },
  };
}

function tinyShape(): ModelShape {
  const layers = { layers: 2, heads: 4, middle: 128 };
  return {
    vision: {
      image: { width: 64, height: 64 },
      stages: stagesOf([32, 64], [1, 1]),
      window: 4,
      mlpRatio: 4,
      projection: 64,
      positionsMax: 50,
      framesMax: 100,
    },
    text: {
      width: 64,
      encoder: layers,
      decoder: layers,
      positionsMax: 1024,
      vocabulary: 1619,
      firstLocation: 599,
    },
  };
}

/** Heads and channel groups are 32 wide at every size of Florence-2. */
function stagesOf(widths: readonly number[], depths: readonly number[]): StageShape[] {
  return widths.map((width, i) => ({
    width,
    depth: depths[i] ?? 1,
    heads: width / 32,
    groups: width / 32,
    patch:
      i === 0
        ? { size: 7, stride: 4, padding: 3, normFirst: false }
        : { size: 3, stride: 2, padding: 1, normFirst: true },
  }));
}
