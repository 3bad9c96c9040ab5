import { describe, expect, test } from "vitest";
import { arithmeticOf, type BuiltPrecision } from "../../../inference/build/arithmetic.ts";
import { type Checkpoint, openCheckpoint } from "../../../inference/build/checkpoint.ts";
import type { VisionShape } from "../../../inference/build/shape.ts";
import { visionGraph } from "../../../inference/build/vision-graph.ts";
import { InferenceSession, Tensor } from "../../../inference/onnx-runtime.ts";
import { goldenNames, goldenPixels, openGolden, shapeOf } from "./golden.ts";
import { openGraph, type RunGraph, relativeError } from "./run-graph.ts";

/**
 * Of the largest number. A hundred times what is seen in float32; in the other precisions three
 * times.
 */
const errorMax = { fp32: 5e-5, fp16: 8e-3, int8: 0.12, q4: 0.45 };
const nano = "models/florence-2-nano";

type Eyes = (pixels: Float32Array) => Promise<{ dims: readonly number[]; values: Float32Array }>;

async function openEyes(
  model: { shape: VisionShape; checkpoint: Checkpoint },
  precision: BuiltPrecision,
): Promise<Eyes> {
  return eyesOf(
    model.shape,
    await openGraph(visionGraph(model.shape, model.checkpoint, arithmeticOf(precision))),
  );
}

function eyesOf({ image: { width, height } }: VisionShape, run: RunGraph): Eyes {
  return async (pixels) => {
    const { image_features: features } = await run({
      pixel_values: new Tensor(pixels, [pixels.length / (3 * width * height), 3, height, width]),
    });
    if (!(features?.data instanceof Float32Array))
      throw new Error("The graph gave no features in float32.");
    return { dims: features.dims, values: features.data };
  };
}

function halves(values: Float32Array): Float32Array[] {
  return [values.slice(0, values.length / 2), values.slice(values.length / 2)];
}

describe.each(goldenNames)("a vision tower of %s", (name) => {
  test("sees what PyTorch sees, two pictures at once as one by one", async () => {
    const golden = await openGolden(name);
    const see = await openEyes(golden, "fp32");
    const pixels = goldenPixels(golden.shape, 2);
    const expected = await golden.tensor("image_features");
    const { dims, values } = await see(pixels);
    expect(dims).toEqual([
      2,
      expected.length / 2 / golden.shape.projection,
      golden.shape.projection,
    ]);
    expect(relativeError(values, expected)).toBeLessThan(errorMax.fp32);
    for (const [i, picture] of halves(pixels).entries()) {
      const alone = await see(picture);
      expect(alone.dims).toEqual([1, ...dims.slice(1)]);
      expect(relativeError(alone.values, halves(values)[i] ?? new Float32Array())).toBeLessThan(
        errorMax.fp32,
      );
    }
  });

  test.each(["fp16", "int8", "q4"] as const)("sees nearly the same in %s", async (precision) => {
    const golden = await openGolden(name);
    const see = await openEyes(golden, precision);
    const { values } = await see(goldenPixels(golden.shape, 2));
    expect(relativeError(values, await golden.tensor("image_features"))).toBeLessThan(
      errorMax[precision],
    );
  });

  test("takes every tensor of its half of the checkpoint, and no other", async () => {
    const golden = await openGolden(name);
    visionGraph(golden.shape, golden.checkpoint, arithmeticOf("fp32"));
    const complaint = faultOf(() => golden.checkpoint.finish());
    expect(complaint).toContain("model.language_model.");
    expect(complaint).not.toMatch(
      /vision_tower|multi_modal_projector|missing|config\.json makes it/,
    );
  });
});

function faultOf(work: () => void): string {
  try {
    work();
  } catch (error) {
    if (error instanceof Error) return error.message;
  }
  throw new Error("Nothing was found wrong.");
}

describe("the embedded model's eyes", () => {
  // The graphs that PyTorch exported hold float32 weights, the checkpoint has them rounded to
  // float16: 7e-4 is what that makes of PyTorch's own result.
  test("see what their graph sees", async () => {
    const shape = shapeOf(nano);
    const session = await InferenceSession.create(`${nano}/onnx/vision_encoder.onnx`, {
      logSeverityLevel: 3,
    });
    const expected = await eyesOf(shape, (inputs) => session.run(inputs))(goldenPixels(shape, 2));
    const see = await openEyes({ shape, checkpoint: await openCheckpoint(nano) }, "fp32");
    const { dims, values } = await see(goldenPixels(shape, 2));
    expect(dims).toEqual(expected.dims);
    expect(relativeError(values, expected.values)).toBeLessThan(5e-3);
  });

  test.each(["fp16", "int8", "q4"] as const)("see nearly the same in %s", async (precision) => {
    const shape = shapeOf(nano);
    const checkpoint = await openCheckpoint(nano);
    const [exact, rounded] = await Promise.all([
      openEyes({ shape, checkpoint }, "fp32"),
      openEyes({ shape, checkpoint }, precision),
    ]);
    const pixels = goldenPixels(shape, 1);
    expect(
      relativeError((await rounded(pixels)).values, (await exact(pixels)).values),
    ).toBeLessThan(errorMax[precision]);
  });
});
