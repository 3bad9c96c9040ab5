import { mkdtempSync, rmSync } from "node:fs";
import { open, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeCheckpoint } from "../../bench/base/checkpoint.ts";
import { settingsOf, shapes } from "../../bench/base/shapes.ts";
import { widenedTokenizer } from "../../bench/base/tokenizer.ts";
import { randomTensors } from "../../bench/base/weights.ts";
import type { ModelShape } from "../../inference/build/shape.ts";
import { openTokens } from "../../inference/florence2/tokens.ts";

const nano = "models/florence-2-nano";
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "vedere-base-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function headerOf(
  file: string,
): Promise<Record<string, { shape: number[]; data_offsets: [number, number] }>> {
  const handle = await open(file);
  try {
    const length = Buffer.alloc(8);
    await handle.read(length, 0, 8, 0);
    const text = Buffer.alloc(Number(length.readBigUInt64LE()));
    await handle.read(text, 0, text.length, 8);
    const { __metadata__, ...tensors } = JSON.parse(text.toString());
    return tensors;
  } finally {
    await handle.close();
  }
}

test("a random checkpoint has the tensors of one that transformers' code has written", async () => {
  const { vision_config: vision, text_config: text } = JSON.parse(
    await readFile(join(nano, "config.json"), "utf8"),
  );
  const shape: ModelShape = {
    vision: {
      image: { width: 128, height: 128 },
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
    },
    text: {
      width: text.d_model,
      encoder: {
        layers: text.encoder_layers,
        heads: text.encoder_attention_heads,
        middle: text.encoder_ffn_dim,
      },
      decoder: {
        layers: text.decoder_layers,
        heads: text.decoder_attention_heads,
        middle: text.decoder_ffn_dim,
      },
      positionsMax: text.max_position_embeddings,
      vocabulary: text.vocab_size,
      firstLocation: 599,
    },
  };
  const theirs = Object.entries(await headerOf(join(nano, "model.safetensors"))).map(
    ([name, tensor]) => [name, tensor.shape] as const,
  );
  const ours = randomTensors(shape).map(({ name, dims }) => [name, [...dims]] as const);
  expect(new Map(ours)).toEqual(new Map(theirs));
});

test("the base shape has Florence-2-base's 0.23 billion parameters", () => {
  const count = randomTensors(shapes.base).reduce(
    (sum, { dims }) => sum + dims.reduce((product, size) => product * size, 1),
    0,
  );
  expect(count / 1e9).toBeCloseTo(0.23, 2);
});

test("the same seed writes the same checkpoint, whose tensors fill the file", async () => {
  const tokenizer = await readFile(join(nano, "tokenizer.json"), "utf8");
  const [first, second] = [join(folder, "first"), join(folder, "second")];
  for (const each of [first, second])
    await writeCheckpoint(each, { shape: shapes.tiny, seed: 7, tokenizer });
  const bytes = await readFile(join(first, "model.safetensors"));
  expect(bytes.equals(await readFile(join(second, "model.safetensors")))).toBe(true);
  const end = Math.max(
    ...Object.values(await headerOf(join(first, "model.safetensors"))).map(
      ({ data_offsets }) => data_offsets[1],
    ),
  );
  expect(8 + Number(bytes.readBigUInt64LE()) + end).toBe(bytes.length);
  expect(JSON.parse(await readFile(join(first, "config.json"), "utf8"))).toEqual(
    settingsOf(shapes.tiny)["config.json"],
  );
});

test("the widened tokenizer has Florence-2's ids, and cuts text as the one it came from", async () => {
  const json = await readFile(join(nano, "tokenizer.json"), "utf8");
  const wide = widenedTokenizer(json, shapes.base.text.vocabulary);
  await writeFile(join(folder, "tokenizer.json"), wide);
  const { added_tokens } = JSON.parse(wide) as { added_tokens: { id: number; content: string }[] };
  const idOf = (token: string) => added_tokens.find(({ content }) => content === token)?.id;
  expect(["<s>", "</s>", "<mask>", "<loc_0>", "<loc_999>", "<sep>", "<and>"].map(idOf)).toEqual([
    0, 2, 50264, 50269, 51268, 51279, 51288,
  ]);
  const tokens = await openTokens(folder);
  expect(tokens.count).toBe(51289);
  const prompt = "What does the image describe?";
  expect(tokens.encode(prompt)).toEqual((await openTokens(nano)).encode(prompt));
});
