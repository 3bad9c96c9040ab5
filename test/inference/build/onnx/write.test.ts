import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { arithmeticOf } from "../../../../inference/build/arithmetic.ts";
import { writeGraph } from "../../../../inference/build/onnx/write.ts";
import { visionGraph } from "../../../../inference/build/vision-graph.ts";
import { InferenceSession, Tensor } from "../../../../inference/onnx-runtime.ts";
import { goldenPixels, openGolden } from "../golden.ts";

test("a graph whose weights lie beside it computes what it computes in one file", async () => {
  const { shape, checkpoint } = await openGolden("four-stages");
  const { width, height } = shape.image;
  const pixels = new Tensor("float32", goldenPixels(shape, 1), [1, 3, height, width]);
  const folder = await mkdtemp(path.join(tmpdir(), "vedere-onnx-"));
  async function featuresOf(name: string, fileBytesMax?: number) {
    const file = path.join(folder, name);
    let written = 0;
    const count = (bytes: number) => {
      written += bytes;
    };
    await writeGraph(
      file,
      visionGraph(shape, checkpoint, arithmeticOf("fp32")),
      count,
      fileBytesMax,
    );
    const session = await InferenceSession.create(file, { logSeverityLevel: 3 });
    const { image_features } = await session.run({ pixel_values: pixels });
    return { features: image_features?.data, written };
  }
  try {
    const whole = await featuresOf("whole.onnx");
    expect(await featuresOf("split.onnx", 0)).toEqual(whole);
    expect(await readdir(folder)).toEqual(["split.onnx", "split.onnx_data", "whole.onnx"]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
