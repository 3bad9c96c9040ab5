import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { quantize } from "../../bench/base/quantize.ts";
import { openGraph } from "../../inference/florence2/graph.ts";
import { findModelFiles } from "../../inference/florence2/model-files.ts";
import { floatsOf } from "../../inference/florence2/values.ts";

const nano = "models/florence-2-nano";
const settings = { executionProvider: "cpu", threads: 1 };
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "vedere-q8-"));
  cpSync(nano, folder, { recursive: true });
  for (const file of readdirSync(join(nano, "onnx"))) {
    writeFileSync(
      join(folder, "onnx", file.replace(".onnx", "_quantized.onnx")),
      quantize(readFileSync(join(nano, "onnx", file))),
    );
  }
  rmSync(join(folder, "vedere.json"));
});
afterAll(() => rmSync(folder, { recursive: true }));

test("the imitation of q8 takes about a quarter of the bytes", () => {
  const bytes = (suffix: string) =>
    readFileSync(join(folder, "onnx", `embed_tokens${suffix}.onnx`)).length;
  expect(bytes("_quantized") / bytes("")).toBeLessThan(0.27);
});

test("its vision graph sees about what the float32 graph sees", async () => {
  const data = Float32Array.from({ length: 3 * 128 * 128 }, (_, i) => Math.sin(i / 50));
  const see = async (file: string) => {
    const graph = await openGraph(join(folder, file), settings);
    const { image_features } = await graph.run({ pixel_values: { data, dims: [1, 3, 128, 128] } }, [
      "image_features",
    ]);
    await graph.release();
    return floatsOf(image_features);
  };
  const { vision } = await findModelFiles({ id: "q8", folder, precision: "q8" });
  const [exact, quantized] = [await see("onnx/vision_encoder.onnx"), await see(vision)];
  const norm = (values: Float32Array) => Math.hypot(...values);
  const difference = norm(exact.map((value, i) => value - (quantized[i] ?? 0))) / norm(exact);
  expect(difference).toBeLessThan(0.5);
  expect(difference).toBeGreaterThan(0);
});

test("both branches of its decoder run", async () => {
  const { decoder } = await findModelFiles({ id: "q8", folder, precision: "q8" });
  const [layers, heads, width, seen] = [2, 8, 128, 5];
  const graph = await openGraph(join(folder, decoder.first), settings);
  const step = async (isFirst: boolean) => {
    const cache = (length: number) => ({
      data: new Float32Array((heads * length * width) / heads),
      dims: [1, heads, length, width / heads],
    });
    const caches = Array.from({ length: layers }, (_, i) =>
      ["key", "value"].flatMap((part) => [
        [`past_key_values.${i}.decoder.${part}`, cache(isFirst ? 0 : 3)],
        [`past_key_values.${i}.encoder.${part}`, cache(isFirst ? 0 : seen)],
      ]),
    ).flat();
    const inputs = {
      ...Object.fromEntries(caches),
      inputs_embeds: { data: new Float32Array(width).fill(0.1), dims: [1, 1, width] },
      encoder_hidden_states: {
        data: new Float32Array(seen * width).fill(0.2),
        dims: [1, seen, width],
      },
      encoder_attention_mask: { data: new BigInt64Array(seen).fill(1n), dims: [1, seen] },
      use_cache_branch: { data: Uint8Array.of(isFirst ? 0 : 1), dims: [1] },
    };
    return floatsOf((await graph.run(inputs, ["logits"])).logits);
  };
  for (const isFirst of [true, false])
    expect((await step(isFirst)).every(Number.isFinite)).toBe(true);
  await graph.release();
});
