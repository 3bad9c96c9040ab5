import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { limits } from "../../../core/limits.ts";
import { withRoom } from "../../../inference/florence2/decode-room.ts";

test("what is decoded at once stays within the bound, and all of it is decoded, whatever fails", async () => {
  const max = limits.image.decodedBytesMax;
  let inUse = 0;
  let highest = 0;
  const decode = (bytes: number, fails = false) =>
    withRoom(bytes, async () => {
      inUse += bytes;
      highest = Math.max(highest, inUse);
      await pause(2);
      inUse -= bytes;
      if (fails) throw new Error("damaged");
      return bytes;
    });
  const sizes = [1, 0.6, 0.6, 0.3, 1, 0.1, 0.5, 0.5].map((share) => share * max);
  const ended = await Promise.allSettled(sizes.map((bytes, i) => decode(bytes, i === 1)));
  expect(ended.map(({ status }) => status)).toEqual(
    sizes.map((_, i) => (i === 1 ? "rejected" : "fulfilled")),
  );
  expect(highest).toBeLessThanOrEqual(max);
  expect(highest).toBeGreaterThan(0.8 * max);
});
