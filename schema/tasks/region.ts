import type { Box, Size } from "../geometry.ts";
import type { InputFault } from "../task.ts";

/** A box of the image: in pixels, or 0 to 1 on each axis. */
export type RegionInput = Box & { readonly unit: "PIXEL" | "NORMALIZED" };

/**
 * By how much of a side a coordinate may lie outside: what arithmetic on the caller's side costs.
 */
const roundingMax = 1e-6;

/** Refuses a region that is not a number, empty, inverted or outside the image. */
export function checkRegion(
  path: readonly string[],
  region: RegionInput,
  size: Size,
): InputFault | null {
  const { width, height } = boundsOf(region, size);
  const axes = [
    { side: width, from: "x0", to: "x1" },
    { side: height, from: "y0", to: "y1" },
  ] as const;
  for (const { side, from, to } of axes) {
    for (const name of [from, to]) {
      const value = region[name];
      const isInside = value >= -roundingMax * side && value <= (1 + roundingMax) * side; // false for NaN
      if (!isInside)
        return {
          path: [...path, name],
          message: `${name} is ${value}: outside the image.`,
          fix: `Give 0 to ${side}.`,
        };
    }
    if (region[from] >= region[to]) {
      return {
        path: [...path, to],
        message: `${to} is ${region[to]}: not above ${from}, ${region[from]}.`,
        fix: "Give x0 < x1 and y0 < y1.",
      };
    }
  }
  return null;
}

/** A checked region in pixels, inside the image. */
export function pixelsOf(region: RegionInput, size: Size): Box {
  const bounds = boundsOf(region, size);
  const x = (value: number) =>
    Math.min(size.width, Math.max(0, value * (size.width / bounds.width)));
  const y = (value: number) =>
    Math.min(size.height, Math.max(0, value * (size.height / bounds.height)));
  return { x0: x(region.x0), y0: y(region.y0), x1: x(region.x1), y1: y(region.y1) };
}

function boundsOf(region: RegionInput, size: Size): Size {
  return region.unit === "PIXEL" ? size : { width: 1, height: 1 };
}
