/**
 * Lengths are pixels of the image as it is seen (EXIF orientation applied); x to the right, y down,
 * from the top left corner.
 */

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A box with x0 ≤ x1 and y0 ≤ y1. */
export interface Box {
  readonly x0: number;
  readonly y0: number;
  readonly x1: number;
  readonly y1: number;
}

/** Four corners. */
export interface Quad {
  readonly points: readonly [Point, Point, Point, Point];
}

/** A closed ring of at least three points; the last joins the first. */
export interface Polygon {
  readonly points: readonly Point[];
}

/**
 * The smallest box around some points; there is at least one. A loop, because an argument list of a
 * hostile answer's points overflows the stack.
 */
export function boxAround(points: readonly Point[]): Box {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const { x, y } of points) {
    x0 = Math.min(x0, x);
    y0 = Math.min(y0, y);
    x1 = Math.max(x1, x);
    y1 = Math.max(y1, y);
  }
  return { x0, y0, x1, y1 };
}
