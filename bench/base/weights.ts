import type { ModelShape, StageShape } from "../../inference/build/shape.ts";

/**
 * A tensor of a random checkpoint: its name in transformers' own spelling, and how its values are
 * drawn.
 */
export interface RandomTensor {
  readonly name: string;
  readonly dims: readonly number[];
  /** Fills a tensor of these dims. */
  fill(values: Float32Array, random: () => number): void;
}

/**
 * So many directions of the last hidden state say "go on"; the first tokens' embeddings point away
 * from them.
 */
const goOnWidth = 32;
/**
 * As large as the largest of the other embeddings, so that it costs a quantized head no precision.
 */
const goOnPull = 0.09;

/**
 * All tensors of a checkpoint of this shape, with weights whose activations stay of order one
 * (Xavier for linear layers). The answers that they give never end by themselves: in the decoder's
 * last norm `goOnWidth` channels are the constant 1, and there the embeddings of `<s>`, `<pad>`,
 * `</s>` and `<unk>` are -`goOnPull`, so that their logits lie far below the best of all the others
 * whatever was seen and said.
 */
export function randomTensors({ vision, text }: ModelShape): RandomTensor[] {
  const language = "model.language_model";
  const projector = "model.multi_modal_projector";
  const width = vision.stages.at(-1)?.width ?? 0;
  const goOn = Math.min(goOnWidth, text.width / 4);
  return [
    ...vision.stages.flatMap((stage, i) =>
      stageTensors(`model.vision_tower`, i, {
        stage,
        before: vision.stages[i - 1]?.width ?? 3,
        ratio: vision.mlpRatio,
      }),
    ),
    {
      name: `${projector}.image_projection.weight`,
      dims: [vision.projection, width],
      fill: xavier,
    },
    ...norm(`${projector}.image_proj_norm`, vision.projection),
    {
      name: `${projector}.image_position_embed.row_embeddings.weight`,
      dims: [vision.positionsMax, width / 2],
      fill: embedding,
    },
    {
      name: `${projector}.image_position_embed.column_embeddings.weight`,
      dims: [vision.positionsMax, width - width / 2],
      fill: embedding,
    },
    {
      name: `${projector}.visual_temporal_embed.pos_idx_to_embed`,
      dims: [vision.framesMax, width],
      fill: (values) => cosines(values, width),
    },
    {
      name: `${language}.shared.weight`,
      dims: [text.vocabulary, text.width],
      fill(values, random) {
        embedding(values, random);
        for (let token = 0; token < 4; token += 1)
          values.fill(-goOnPull, token * text.width, token * text.width + goOn);
      },
    },
    ...layersOf(`${language}.encoder`, {
      ...text.encoder,
      width: text.width,
      attentions: ["self_attn"],
      positions: text.positionsMax,
    }),
    ...layersOf(`${language}.decoder`, {
      ...text.decoder,
      width: text.width,
      attentions: ["self_attn", "encoder_attn"],
      positions: text.positionsMax,
    }).map((tensor) => {
      const last = `${language}.decoder.layers.${text.decoder.layers - 1}.final_layer_norm`;
      if (tensor.name === `${last}.weight`)
        return { ...tensor, fill: (values: Float32Array) => values.fill(1).fill(0, 0, goOn) };
      if (tensor.name === `${last}.bias`)
        return { ...tensor, fill: (values: Float32Array) => values.fill(0).fill(1, 0, goOn) };
      return tensor;
    }),
  ];
}

function stageTensors(
  tower: string,
  i: number,
  { stage, before, ratio }: { stage: StageShape; before: number; ratio: number },
): RandomTensor[] {
  const { width, depth, patch } = stage;
  const blocks = Array.from({ length: depth }, (_, j) => `${tower}.blocks.${i}.${j}`);
  return [
    ...convolution(`${tower}.convs.${i}.conv`, [width, before, patch.size, patch.size]),
    ...norm(`${tower}.convs.${i}.norm`, patch.normFirst ? before : width),
    ...blocks.flatMap((block) =>
      (["spatial_block.window_attn", "channel_block.channel_attn"] as const).flatMap((path) => {
        const [side = "", attention = ""] = path.split(".");
        const name = `${block}.${side}`;
        return [
          ...convolution(`${name}.conv1`, [width, 1, 3, 3]),
          ...norm(`${name}.norm1`, width),
          ...linear(`${name}.${attention}.qkv`, width, 3 * width),
          ...linear(`${name}.${attention}.proj`, width, width),
          ...convolution(`${name}.conv2`, [width, 1, 3, 3]),
          ...norm(`${name}.norm2`, width),
          ...linear(`${name}.ffn.fc1`, width, width * ratio),
          ...linear(`${name}.ffn.fc2`, width * ratio, width),
        ];
      }),
    ),
  ];
}

function layersOf(
  stack: string,
  {
    layers,
    middle,
    width,
    attentions,
    positions,
  }: { layers: number; middle: number; width: number; attentions: string[]; positions: number },
): RandomTensor[] {
  return [
    { name: `${stack}.embed_positions.weight`, dims: [positions + 2, width], fill: embedding },
    ...norm(`${stack}.layernorm_embedding`, width),
    ...Array.from({ length: layers }, (_, i) => `${stack}.layers.${i}`).flatMap((layer) => [
      ...attentions.flatMap((attention) => [
        ...["q_proj", "k_proj", "v_proj", "out_proj"].flatMap((part) =>
          linear(`${layer}.${attention}.${part}`, width, width),
        ),
        ...norm(`${layer}.${attention}_layer_norm`, width),
      ]),
      ...linear(`${layer}.fc1`, width, middle),
      ...linear(`${layer}.fc2`, middle, width),
      ...norm(`${layer}.final_layer_norm`, width),
    ]),
  ];
}

function linear(name: string, from: number, to: number): RandomTensor[] {
  const fill = (values: Float32Array, random: () => number) =>
    uniform(values, random, Math.sqrt(6 / (from + to)));
  return [
    { name: `${name}.weight`, dims: [to, from], fill },
    { name: `${name}.bias`, dims: [to], fill: embedding },
  ];
}

function convolution(
  name: string,
  dims: readonly [number, number, number, number],
): RandomTensor[] {
  const reach = 1 / Math.sqrt(dims[1] * dims[2] * dims[3]);
  return [
    { name: `${name}.weight`, dims, fill: (values, random) => uniform(values, random, reach) },
    {
      name: `${name}.bias`,
      dims: [dims[0]],
      fill: (values, random) => uniform(values, random, reach),
    },
  ];
}

function norm(name: string, width: number): RandomTensor[] {
  return [
    { name: `${name}.weight`, dims: [width], fill: (values) => void values.fill(1) },
    { name: `${name}.bias`, dims: [width], fill: embedding },
  ];
}

function xavier(values: Float32Array, random: () => number): void {
  uniform(values, random, Math.sqrt(6 / (2 * Math.sqrt(values.length))));
}

/** Standard deviation 0.02, as transformers draws embeddings. */
function embedding(values: Float32Array, random: () => number): void {
  // The sum of four uniform numbers is normal enough, and has the tail that decides which token is
  // likeliest.
  for (let i = 0; i < values.length; i += 1)
    values[i] = 0.02 * Math.sqrt(3) * (random() + random() + random() + random() - 2);
}

function uniform(values: Float32Array, random: () => number, reach: number): void {
  for (let i = 0; i < values.length; i += 1) values[i] = reach * (2 * random() - 1);
}

/** Rows of sines and cosines of falling frequency, in turn. */
function cosines(values: Float32Array, width: number): void {
  for (let i = 0; i < values.length; i += 1) {
    const [row, column] = [Math.floor(i / width), i % width];
    const angle = row * Math.exp((-2 * Math.floor(column / 2) * Math.log(10_000)) / width);
    values[i] = column % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
  }
}
