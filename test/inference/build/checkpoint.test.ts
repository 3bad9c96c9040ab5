import { mkdtemp, readFile, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AppError } from "../../../core/errors.ts";
import { openCheckpoint } from "../../../inference/build/checkpoint.ts";
import { openSafeTensors } from "../../../inference/build/safetensors.ts";
import { nativeName } from "../../../inference/build/spelling.ts";
import { type Stored, writeSafeTensors } from "./write-safetensors.ts";

const folder = () => mkdtemp(path.join(tmpdir(), "vedere-checkpoint-"));
const shared = "model.language_model.shared.weight";
const matrix = (rows: number, columns: number, start = 0): Stored => ({
  dims: [rows, columns],
  values: Float32Array.from({ length: rows * columns }, (_, i) => start + i / 8),
});

async function checkpointOf(tensors: Readonly<Record<string, Stored>>) {
  const place = await folder();
  await writeSafeTensors(path.join(place, "model.safetensors"), tensors);
  return openCheckpoint(place);
}

describe("weights", () => {
  test.each(["F32", "F16", "BF16"] as const)(
    "stored as %s are read as the numbers they stand for",
    async (format) => {
      const place = await folder();
      const values = Float32Array.of(
        0,
        -0,
        1,
        -2.5,
        0.5,
        Number.POSITIVE_INFINITY,
        2 ** -14,
        2 ** -10,
      );
      await writeSafeTensors(
        path.join(place, "model.safetensors"),
        { a: matrix(3, 1), x: { dims: [8], values } },
        format,
      );
      const tensors = await openSafeTensors(place);
      expect(await tensors.get("x")?.values()).toEqual(values);
    },
  );

  test("of several files are found in each of them", async () => {
    const place = await folder();
    await writeSafeTensors(path.join(place, "one.safetensors"), { a: matrix(2, 2) });
    await writeSafeTensors(path.join(place, "two.safetensors"), { b: matrix(2, 2, 9) });
    const index = { weight_map: { a: "one.safetensors", b: "two.safetensors" } };
    await writeFile(path.join(place, "model.safetensors.index.json"), JSON.stringify(index));
    const tensors = await openSafeTensors(place);
    expect([...tensors.keys()]).toEqual(["a", "b"]);
    expect((await tensors.get("b")?.values())?.[0]).toBe(9);
  });

  test("a file that is damaged anywhere is refused with a reason, never read beyond", async () => {
    const place = await folder();
    const file = path.join(place, "model.safetensors");
    await writeSafeTensors(file, { a: matrix(4, 4), b: matrix(2, 3) });
    const whole = await readFile(file);
    await fc.assert(
      fc.asyncProperty(
        fc.nat(whole.length - 1),
        fc.nat(255),
        fc.boolean(),
        async (at, byte, isCut) => {
          const bytes = Buffer.from(isCut ? whole.subarray(0, at) : whole);
          if (!isCut) bytes[at] = byte;
          await writeFile(file, bytes);
          try {
            const tensors = await openSafeTensors(place);
            await Promise.all([...tensors.values()].map((tensor) => tensor.values()));
          } catch (error) {
            expect(error).toBeInstanceOf(AppError);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test("a file cut in its numbers says that it was cut", async () => {
    const place = await folder();
    const file = path.join(place, "model.safetensors");
    await writeSafeTensors(file, { a: matrix(4, 4) });
    await truncate(file, (await readFile(file)).length - 4);
    await expect(openSafeTensors(place)).rejects.toThrow(/tensor a .*cut off/);
  });
});

describe("a checkpoint", () => {
  test("is read by transformers' names, in either spelling", async () => {
    const original = {
      "vision_tower.convs.0.proj.weight": matrix(2, 2),
      "vision_tower.blocks.0.0.spatial_block.window_attn.fn.qkv.weight": matrix(6, 2),
      "vision_tower.blocks.0.0.channel_block.ffn.fn.net.fc1.bias": matrix(1, 2),
      image_projection: matrix(2, 3),
      "language_model.model.shared.weight": matrix(4, 2),
      "language_model.lm_head.weight": matrix(4, 2),
      "language_model.final_logits_bias": { dims: [1, 4], values: new Float32Array(4) },
    };
    const checkpoint = await checkpointOf(original);
    checkpoint.take("model.vision_tower.convs.0.conv.weight", [2, 2]);
    checkpoint.take("model.vision_tower.blocks.0.0.spatial_block.window_attn.qkv.weight", [6, 2]);
    checkpoint.take("model.vision_tower.blocks.0.0.channel_block.ffn.fc1.bias", [1, 2]);
    const projection = checkpoint.take(
      "model.multi_modal_projector.image_projection.weight",
      [3, 2],
    );
    checkpoint.take(shared, [4, 2]);
    checkpoint.finish();
    await checkpoint.checkValues();
    const [a, b, c, d, e, f] = original.image_projection.values;
    expect([...(await projection.values())]).toEqual([a, d, b, e, c, f]);
    expect(nativeName("vision_tower.blocks.0.0.channel_block.channel_attn.norm.bias")).toBe(
      "model.vision_tower.blocks.0.0.channel_block.norm1.bias",
    );
  });

  test("gives the vocabulary's rows of a padded embedding", async () => {
    const checkpoint = await checkpointOf({ [shared]: matrix(8, 2) });
    const embedding = checkpoint.take(shared, [5, 2]);
    checkpoint.finish();
    expect(await embedding.values()).toHaveLength(10);
  });

  test("names at once everything that is missing, of another shape or not known", async () => {
    const checkpoint = await checkpointOf({
      [shared]: matrix(3, 2),
      a: matrix(2, 2),
      b: matrix(1, 1),
    });
    const missing = checkpoint.take("c", [1]);
    checkpoint.take("a", [2, 3]);
    checkpoint.take(shared, [4, 2]);
    expect(() => checkpoint.finish()).toThrow(
      /c is missing; a is 2×2, config.json makes it 2×3; .*3 rows for 4 tokens.*; b is not known/,
    );
    await expect(missing.values()).rejects.toThrow(/c is missing/);
  });

  test("whose output is not tied to the embedding, or has a bias, is refused", async () => {
    const untied = await checkpointOf({
      [shared]: matrix(4, 2),
      "lm_head.weight": matrix(4, 2, 1),
    });
    await expect(untied.checkValues()).rejects.toThrow(/lm_head.weight differs/);
    const biased = await checkpointOf({
      [shared]: matrix(4, 2),
      "language_model.final_logits_bias": matrix(1, 4, 1),
    });
    await expect(biased.checkValues()).rejects.toThrow(/not zero/);
  });
});

describe("an adapter", () => {
  const name = "model.language_model.encoder.layers.0.fc1.weight";
  async function adapterOf(
    tensors: Readonly<Record<string, Stored>>,
    config: object = { r: 2, lora_alpha: 8, bias: "none" },
  ) {
    const [base, adapter] = [await folder(), await folder()];
    await writeSafeTensors(path.join(base, "model.safetensors"), {
      [shared]: matrix(4, 3),
      [name]: matrix(2, 3, 1),
    });
    await writeSafeTensors(path.join(adapter, "adapter_model.safetensors"), tensors);
    await writeFile(path.join(adapter, "adapter_config.json"), JSON.stringify(config));
    return openCheckpoint(adapter, base);
  }
  const stem = `base_model.model.${name.replace(".weight", "")}`;

  test("adds alpha / r · B A to what it adapts, in either spelling, and leaves the rest", async () => {
    const [a, b] = [matrix(2, 3, 1), matrix(2, 2, 2)];
    const original = stem.replace("model.language_model", "language_model.model");
    for (const prefix of [stem, original]) {
      const checkpoint = await adapterOf({
        [`${prefix}.lora_A.weight`]: a,
        [`${prefix}.lora_B.weight`]: b,
      });
      const merged = await checkpoint.take(name, [2, 3]).values();
      const wanted = Array.from({ length: 6 }, (_, i) => {
        const [row, column] = [Math.floor(i / 3), i % 3];
        const product = [0, 1].reduce(
          (sum, k) => sum + (b.values[row * 2 + k] ?? 0) * (a.values[k * 3 + column] ?? 0),
          0,
        );
        return (matrix(2, 3, 1).values[i] ?? 0) + 4 * product;
      });
      expect([...merged]).toEqual(wanted);
      expect(await checkpoint.take(shared, [4, 3]).values()).toEqual(matrix(4, 3).values);
    }
  });

  test.each([
    [
      "half a pair",
      { [`${stem}.lora_A.weight`]: matrix(2, 3) },
      undefined,
      /one of lora_A and lora_B only/,
    ],
    [
      "another base",
      { "base_model.model.other.lora_A.weight": matrix(2, 3) },
      undefined,
      /other\.lora_A.* belongs to no weight/,
    ],
    [
      "a rank that is not its own",
      { [`${stem}.lora_A.weight`]: matrix(2, 4), [`${stem}.lora_B.weight`]: matrix(2, 2) },
      undefined,
      /2×4/,
    ],
    ["biases", {}, { r: 2, lora_alpha: 8, bias: "all" }, /biases/],
    ["no rank", {}, {}, /lacks r/],
  ])("with %s is refused with the reason", async (_, tensors, config, reason) => {
    await expect(adapterOf(tensors, config)).rejects.toThrow(reason);
  });
});
