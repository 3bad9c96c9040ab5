import { readFileSync } from "node:fs";
import { type Checkpoint, openCheckpoint } from "../../../inference/build/checkpoint.ts";
import { openSafeTensors } from "../../../inference/build/safetensors.ts";
import type { VisionShape } from "../../../inference/build/shape.ts";

export const goldenNames = ["one-stage", "two-stages", "three-stages", "four-stages"];

export interface Golden {
  readonly shape: VisionShape;
  readonly checkpoint: Checkpoint;
  /** What PyTorch computes, by name. */
  tensor(name: string): Promise<Float32Array>;
}

/** The format is told in test/golden/florence2/README.md. */
export async function openGolden(name: string): Promise<Golden> {
  const folder = `test/golden/florence2/${name}`;
  const tensors = await openSafeTensors(folder, "golden");
  const tensor = (key: string) =>
    tensors.get(key)?.values() ?? Promise.reject(new Error(`${name} has no ${key}`));
  return { shape: shapeOf(folder), checkpoint: await openCheckpoint(folder), tensor };
}

/** The vision tower's shape from a config.json in transformers' own spelling. */
export function shapeOf(folder: string): VisionShape {
  const json = (file: string) => JSON.parse(readFileSync(`${folder}/${file}`, "utf8"));
  const { vision_config: vision } = json("config.json");
  const { size } = json("preprocessor_config.json");
  return {
    image: { width: size.width, height: size.height },
    stages: vision.embed_dim.map((width: number, i: number) => ({
      width,
      depth: vision.depths[i],
      heads: vision.num_heads[i],
      groups: vision.num_groups[i],
      patch: {
        size: vision.patch_size[i],
        stride: vision.patch_stride[i],
        padding: vision.patch_padding[i],
        normFirst: vision.patch_prenorm[i],
      },
    })),
    window: vision.window_size,
    mlpRatio: vision.mlp_ratio,
    projection: vision.projection_dim,
    positionsMax: vision.max_position_embeddings,
    framesMax: vision.max_temporal_embeddings,
  };
}

/** The pixels that goldens are computed from: [batch, 3, height, width]. */
export function goldenPixels({ image }: VisionShape, batch: number): Float32Array {
  return Float32Array.from(
    { length: batch * 3 * image.width * image.height },
    (_, i) => ((i * 37 + i * i * 11) % 509) / 254 - 1,
  );
}
