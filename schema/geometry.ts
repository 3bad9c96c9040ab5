/** Lengths are pixels of the image as it is seen (EXIF orientation applied); x to the right, y down, from the top left corner. */

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

/** The smallest box around some points. */
export function boxAround(points: readonly Point[]): Box {
  const xs = points.map((point) => point.x);
  const ys = points.map((point) => point.y);
  return { x0: Math.min(...xs), y0: Math.min(...ys), x1: Math.max(...xs), y1: Math.max(...ys) };
}
