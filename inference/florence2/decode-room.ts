import { limits } from "../../core/limits.ts";

let inUse = 0;
const waiting: (() => void)[] = [];

/**
 * Runs `work` while what decoders hold, in the whole process, stays within what one image may take:
 * so large images go one by one.
 */
export async function withRoom<Result>(
  bytes: number,
  work: () => Promise<Result>,
): Promise<Result> {
  while (inUse > 0 && inUse + bytes > limits.image.decodedBytesMax)
    await new Promise<void>((resolve) => waiting.push(resolve));
  inUse += bytes;
  try {
    return await work();
  } finally {
    inUse -= bytes;
    for (const resume of waiting.splice(0)) resume();
  }
}
