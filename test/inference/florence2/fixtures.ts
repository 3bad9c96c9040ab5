import { fileURLToPath } from "node:url";
import sharp from "sharp";
import type { ModelInfo, Models } from "../../../core/ports.ts";

export const nanoFolder = fileURLToPath(
  new URL("../../../models/florence-2-nano/", import.meta.url),
);

export const nano: ModelInfo = {
  id: "nano",
  description: "",
  revision: "test",
  precision: "fp32",
  tasks: [],
  isDefault: true,
  aliases: [],
  fault: null,
  folder: nanoFolder,
  stamp: "",
  defaults: {},
};

export const models: Models = { list: async () => [nano] };

/** A picture of overlapping rectangles, the same for the same seed. */
export async function picture(seed: number, width = 160, height = 120): Promise<Buffer> {
  const next = random(seed);
  const rgb = Buffer.alloc(3 * width * height, 0xee);
  for (let n = 0; n < 6; n += 1) {
    const [left, top] = [Math.floor(next() * width * 0.8), Math.floor(next() * height * 0.8)];
    const [right, bottom] = [
      left + Math.floor((next() * width) / 2),
      top + Math.floor((next() * height) / 2),
    ];
    const color = [next() * 255, next() * 255, next() * 255];
    for (let y = top; y < Math.min(bottom, height); y += 1) {
      for (let x = left; x < Math.min(right, width); x += 1) rgb.set(color, 3 * (y * width + x));
    }
  }
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/** Numbers from 0 to 1, the same for the same seed. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
