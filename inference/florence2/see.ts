import { AppError, asAppError } from "../../core/errors.ts";
import type { Sight } from "../../core/ports.ts";
import { chunks } from "./chunks.ts";
import { throwIfCanceled } from "./generate.ts";
import type { LoadedModel } from "./loaded-model.ts";
import { type Pixels, readPixels } from "./pixels.ts";
import { floatsOf } from "./values.ts";

/** Images of one run of the vision graph. */
const imagesMax = 8;

/** What was seen, but for what saw it. */
type Seen = Omit<Sight, "model">;

/** Decodes and encodes images; one bad image fails alone. */
export async function see(
  model: LoadedModel,
  images: readonly Uint8Array[],
  signal?: AbortSignal,
): Promise<(Seen | Error)[]> {
  const sights: (Seen | Error)[] = [];
  for (const chunk of chunks(images, () => 1, model.batches ? imagesMax : 1)) {
    throwIfCanceled(signal);
    const read = await Promise.all(
      chunk.map((bytes) => readPixels(bytes, model.config.pixels).catch(asAppError)),
    );
    throwIfCanceled(signal);
    const seen = await seePixels(
      model,
      read.flatMap((pixels) => (pixels instanceof Error ? [] : pixels)),
    );
    sights.push(
      ...read.map((pixels) =>
        pixels instanceof Error
          ? pixels
          : (seen.shift() ?? new AppError("INTERNAL", "An image got lost.")),
      ),
    );
  }
  return sights;
}

async function seePixels(model: LoadedModel, images: readonly Pixels[]): Promise<Seen[]> {
  if (images.length === 0) return [];
  const { width, height } = model.config.pixels;
  const started = performance.now();
  const size = 3 * width * height;
  const data = new Float32Array(images.length * size); // [B, 3, H, W]
  images.forEach(({ values }, i) => {
    data.set(values, i * size);
  });
  const { image_features } = await model.graphs.vision.run(
    { pixel_values: { data, dims: [images.length, 3, height, width] } },
    ["image_features"],
  );
  const features = floatsOf(image_features);
  const length = features.length / images.length;
  const visionMs = performance.now() - started;
  return images.map((image, i) => ({
    size: image.size,
    timings: { ...image.timings, visionMs },
    features: features.slice(i * length, (i + 1) * length), // a copy: a sight may outlive its batch
  }));
}
