import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { arithmeticOf, type BuiltPrecision } from "../../../inference/build/arithmetic.ts";
import { decoderStepGraph } from "../../../inference/build/decoder-graph.ts";
import { embedGraph } from "../../../inference/build/embed-graph.ts";
import { encoderGraph } from "../../../inference/build/encoder-graph.ts";
import type { TextShape } from "../../../inference/build/shape.ts";
import { Tensor } from "../../../inference/onnx-runtime.ts";
import { goldenNames, openGolden } from "./golden.ts";
import { openGraph, relativeError } from "./run-graph.ts";

/** Of the largest number, in float32. */
const errorMax = 1e-4;
const [vocabulary, firstLocation] = [1005, 5];

type Outputs = Record<string, Float32Array>;

/** A golden model's language graphs at work on its two questions. */
async function openLanguage(name: string, precision: BuiltPrecision) {
  const golden = await openGolden(name);
  const shape = textShape(name);
  const arithmetic = arithmeticOf(precision);
  const [embed, encoder, decoder] = await Promise.all(
    [embedGraph, encoderGraph, decoderStepGraph].map((make) =>
      openGraph(make(shape, golden.checkpoint, arithmetic)),
    ),
  );
  const { width } = shape;
  const features = await golden.tensor("image_features");
  const mask = BigInt64Array.from(await golden.tensor("attention_mask"), BigInt);
  const prompt = await golden.tensor("prompt");
  const [length, seen] = [mask.length / 2, features.length / 2 / width];

  async function vectorsOf(ids: readonly number[]): Promise<Float32Array> {
    const input_ids = new Tensor("int64", BigInt64Array.from(ids, BigInt), [1, ids.length]);
    return floats((await embed?.({ input_ids }))?.inputs_embeds);
  }
  const joined = new Float32Array(2 * length * width);
  for (const question of [0, 1]) {
    joined.set(
      features.subarray(question * seen * width, (question + 1) * seen * width),
      question * length * width,
    );
    joined.set(
      await vectorsOf([...prompt.subarray(question * 5, (question + 1) * 5)]),
      (question * length + seen) * width,
    );
  }
  const encoded = await encoder?.({
    inputs_embeds: new Tensor("float32", joined, [2, length, width]),
    attention_mask: new Tensor("int64", mask, [2, length]),
  });
  if (!encoded || !decoder) throw new Error("no graphs");

  /** One step for `beams` rows of each question, after `past`: the outputs of the steps before. */
  async function step(
    tokens: readonly number[],
    past: readonly Outputs[],
    { locationsOnly = false } = {},
  ): Promise<Outputs> {
    const slots = past.length + 1;
    const inputs: Record<string, Tensor> = {
      inputs_embeds: new Tensor("float32", await vectorsOf(tokens), [tokens.length, width]),
      position: new Tensor("int64", BigInt64Array.of(BigInt(past.length)), [1]),
      encoder_attention_mask: new Tensor("int64", mask, [2, length]),
      past_bias: new Tensor(
        "float32",
        Float32Array.from({ length: slots }, (_, slot) => (slot ? 0 : Number.NEGATIVE_INFINITY)),
        [1, 1, slots],
      ),
      locations_only: new Tensor("bool", Uint8Array.of(locationsOnly ? 1 : 0), [1]),
    };
    for (let layer = 0; layer < shape.decoder.layers; layer += 1) {
      for (const part of ["key", "value"]) {
        const own = `${layer}.decoder.${part}`;
        const size = tokens.length * width;
        const cache = new Float32Array(slots * size);
        for (const [i, before] of past.entries())
          cache.set(before[`present.${own}`] ?? [], (i + 1) * size);
        const dims = [slots, tokens.length * shape.decoder.heads, width / shape.decoder.heads];
        inputs[`past_key_values.${own}`] = new Tensor("float32", cache, dims);
        const memory = encoded?.[`present.${layer}.encoder.${part}`];
        if (memory instanceof Tensor) inputs[`past_key_values.${layer}.encoder.${part}`] = memory;
      }
    }
    const outputs = await decoder?.(inputs);
    return Object.fromEntries(
      Object.entries(outputs ?? {}).map(([key, value]) => [key, floats(value)]),
    );
  }
  return { golden, hidden: floats(encoded.last_hidden_state), step };
}

describe.each(goldenNames)("%s", (name) => {
  test("reads as PyTorch reads, short prompts beside long ones", async () => {
    const { golden, hidden } = await openLanguage(name, "fp32");
    expect(relativeError(hidden, await golden.tensor("last_hidden_state"))).toBeLessThan(errorMax);
  });

  test("says, step by step, what PyTorch says at once; of locations only, the same numbers", async () => {
    const { golden, step } = await openLanguage(name, "fp32");
    const [inputs, logits] = [await golden.tensor("decoder_input"), await golden.tensor("logits")];
    const past: Outputs[] = [];
    for (const position of [0, 1, 2]) {
      const tokens = [inputs[position] ?? 0, inputs[3 + position] ?? 0];
      const said = await step(tokens, past);
      const some = await step(tokens, past, { locationsOnly: true });
      for (const question of [0, 1]) {
        const at = (question * 3 + position) * vocabulary;
        const row =
          said.logits?.subarray(question * vocabulary, (question + 1) * vocabulary) ??
          new Float32Array();
        expect(relativeError(row, logits.subarray(at, at + vocabulary))).toBeLessThan(errorMax);
        const places =
          some.logits?.subarray(question * 1000, (question + 1) * 1000) ?? new Float32Array();
        expect(
          relativeError(places, row.subarray(firstLocation, firstLocation + 1000)),
        ).toBeLessThan(1e-6);
      }
      past.push(said);
    }
  });

  test("gives each beam of a question what it would give it alone", async () => {
    const { step } = await openLanguage(name, "fp32");
    const sentences = [
      [2, 2, 2, 2],
      [3, 4, 900, 5],
      [10, 3, 4, 700],
    ];
    const run = async (rows: readonly number[]) => {
      const past: Outputs[] = [];
      for (const tokens of sentences) {
        past.push(
          await step(
            rows.map((row) => tokens[row] ?? 0),
            past,
          ),
        );
      }
      return past.at(-1)?.logits ?? new Float32Array();
    };
    const together = await run([0, 1, 2, 3]); // two beams of each question
    const [first, second] = [await run([0, 2]), await run([1, 3])];
    const rowsOf = (logits: Float32Array, rows: readonly number[]) =>
      Float32Array.from(
        rows.flatMap((row) => [...logits.subarray(row * vocabulary, (row + 1) * vocabulary)]),
      );
    expect(relativeError(rowsOf(together, [0, 2]), first)).toBeLessThan(1e-5);
    expect(relativeError(rowsOf(together, [1, 3]), second)).toBeLessThan(1e-5);
  });

  test("stays close in int8", async () => {
    const { golden, hidden } = await openLanguage(name, "int8");
    expect(relativeError(hidden, await golden.tensor("last_hidden_state"))).toBeLessThan(0.2);
  });
});

function textShape(name: string): TextShape {
  const { text_config: text } = JSON.parse(
    readFileSync(`test/golden/florence2/${name}/config.json`, "utf8"),
  );
  const side = (part: string) => ({
    layers: text[`${part}_layers`],
    heads: text[`${part}_attention_heads`],
    middle: text[`${part}_ffn_dim`],
  });
  const width = text.d_model;
  return {
    width,
    encoder: side("encoder"),
    decoder: side("decoder"),
    positionsMax: text.max_position_embeddings,
    vocabulary,
    firstLocation,
  };
}

function floats(value: unknown): Float32Array {
  if (value instanceof Tensor && value.data instanceof Float32Array) return value.data;
  throw new Error("not floating point numbers");
}
