import { mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ModelShape } from "../../inference/build/shape.ts";
import { toFloat16 } from "../../inference/florence2/float16.ts";
import { settingsOf } from "./shapes.ts";
import { randomTensors } from "./weights.ts";

/** Values drawn and written at a time. */
const pieceMax = 1 << 20;

/**
 * Writes a folder as transformers would: model.safetensors with random float16 weights, the
 * settings and the tokenizer. The same shape and seed give the same bytes. No more than the largest
 * tensor is in memory.
 */
export async function writeCheckpoint(
  folder: string,
  { shape, seed, tokenizer }: { shape: ModelShape; seed: number; tokenizer: string },
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const tensors = randomTensors(shape);
  const random = randomNumbers(seed);
  const file = await open(join(folder, "model.safetensors"), "w");
  try {
    await file.writeFile(header(tensors));
    for (const { dims, fill } of tensors) {
      const values = new Float32Array(countOf(dims));
      fill(values, random);
      for (let start = 0; start < values.length; start += pieceMax) {
        const { buffer } = toFloat16(values.subarray(start, start + pieceMax));
        await file.writeFile(new Uint8Array(buffer));
      }
    }
  } finally {
    await file.close();
  }
  await writeFile(join(folder, "tokenizer.json"), tokenizer);
  for (const [name, content] of Object.entries(settingsOf(shape)))
    await writeFile(join(folder, name), JSON.stringify(content, null, 1));
}

/**
 * The length of the JSON that follows as 8 bytes, then the JSON: where each tensor lies behind it.
 */
function header(tensors: readonly { name: string; dims: readonly number[] }[]): Buffer {
  let offset = 0;
  const entries = tensors.map(({ name, dims }) => {
    const start = offset;
    offset += 2 * countOf(dims);
    return [name, { dtype: "F16", shape: dims, data_offsets: [start, offset] }];
  });
  const json = JSON.stringify({ __metadata__: { format: "pt" }, ...Object.fromEntries(entries) });
  const text = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text]);
}

function countOf(dims: readonly number[]): number {
  return dims.reduce((product, size) => product * size, 1);
}

/** Numbers of [0, 1): Marsaglia's xorshift with 32 bits of state. */
function randomNumbers(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
