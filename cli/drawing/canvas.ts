import type { Box, Point, Polygon } from "../../schema/geometry.ts";
import { capitalDots, lettersOf } from "./letters.ts";

export interface Colour {
  readonly red: number;
  readonly green: number;
  readonly blue: number;
}

/** Pixels to draw on: RGB bytes, row by row from the top left. */
export interface Canvas {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
}

/** Draws a line with round ends and soft edges; what lies outside the canvas is left out. */
export function drawLine(
  canvas: Canvas,
  line: { from: Point; to: Point },
  pen: { colour: Colour; width: number },
): void {
  const { from, to } = line;
  const radius = pen.width / 2;
  const reach = radius + 0.5; // pixel centres this far away are still touched
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const lengthSquared = dx * dx + dy * dy;
  const yFirst = Math.max(0, Math.floor(Math.min(from.y, to.y) - reach));
  const yLast = Math.min(canvas.height - 1, Math.ceil(Math.max(from.y, to.y) + reach));
  for (let y = yFirst; y <= yLast; y += 1) {
    // Only the stretch of the line that can touch this row is looked at: a long diagonal costs its
    // length, not its box.
    const near =
      Math.abs(dy) < 1e-9
        ? [0, 1]
        : [clamp((y + 0.5 - reach - from.y) / dy), clamp((y + 0.5 + reach - from.y) / dy)];
    const xs = near.map((t) => from.x + t * dx);
    const xFirst = Math.max(0, Math.floor(Math.min(...xs) - reach));
    const xLast = Math.min(canvas.width - 1, Math.ceil(Math.max(...xs) + reach));
    for (let x = xFirst; x <= xLast; x += 1) {
      const px = x + 0.5 - from.x;
      const py = y + 0.5 - from.y;
      const t = lengthSquared === 0 ? 0 : clamp((px * dx + py * dy) / lengthSquared);
      const distance = Math.hypot(px - t * dx, py - t * dy);
      blend(canvas, y * canvas.width + x, { colour: pen.colour, opacity: clamp(reach - distance) });
    }
  }
}

/** Draws the outline of a closed ring. */
export function drawRing(
  canvas: Canvas,
  ring: readonly Point[],
  pen: { colour: Colour; width: number },
): void {
  ring.forEach((from, i) => {
    const to = ring[(i + 1) % ring.length];
    if (to) drawLine(canvas, { from, to }, pen);
  });
}

/** Fills the inside of some rings, by the even-odd rule: a ring within a ring is a hole. */
export function fillRings(
  canvas: Canvas,
  rings: readonly Polygon[],
  paint: { colour: Colour; opacity: number },
): void {
  const ys = rings.flatMap((ring) => ring.points.map((point) => point.y));
  const yLast = Math.min(canvas.height - 1, Math.floor(Math.max(...ys)));
  for (let y = Math.max(0, Math.floor(Math.min(...ys))); y <= yLast; y += 1) {
    const crossings = rings
      .flatMap((ring) => crossingsAt(ring.points, y + 0.5))
      .sort((a, b) => a - b);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const xFirst = Math.max(0, Math.ceil((crossings[i] ?? 0) - 0.5));
      const xEnd = Math.min(canvas.width, Math.ceil((crossings[i + 1] ?? 0) - 0.5));
      for (let x = xFirst; x < xEnd; x += 1) blend(canvas, y * canvas.width + x, paint);
    }
  }
}

/** Fills a box of whole pixels. */
export function fillBox(canvas: Canvas, box: Box, colour: Colour): void {
  for (
    let y = Math.max(0, Math.round(box.y0));
    y < Math.min(canvas.height, Math.round(box.y1));
    y += 1
  ) {
    for (
      let x = Math.max(0, Math.round(box.x0));
      x < Math.min(canvas.width, Math.round(box.x1));
      x += 1
    ) {
      blend(canvas, y * canvas.width + x, { colour, opacity: 1 });
    }
  }
}

/**
 * Draws one line of text; `at` is the top left corner of its capitals, `capitalHeight` their height
 * in pixels.
 */
export function drawText(
  canvas: Canvas,
  text: string,
  style: { at: Point; capitalHeight: number; colour: Colour },
): void {
  const dot = style.capitalHeight / capitalDots;
  const pen = { colour: style.colour, width: Math.max(1.1, dot * 1.15) };
  let left = style.at.x + dot / 2;
  for (const letter of lettersOf(text)) {
    for (const { x0, y0, x1, y1 } of letter.strokes) {
      const top = style.at.y + dot / 2;
      drawLine(
        canvas,
        {
          from: { x: left + x0 * dot, y: top + y0 * dot },
          to: { x: left + x1 * dot, y: top + y1 * dot },
        },
        pen,
      );
    }
    left += letter.advance * dot;
  }
}

/** The width of a text in pixels. */
export function widthOf(text: string, capitalHeight: number): number {
  return (
    (lettersOf(text).reduce((sum, letter) => sum + letter.advance, 0) * capitalHeight) / capitalDots
  );
}

function crossingsAt(points: readonly Point[], y: number): number[] {
  return points.flatMap((from, i) => {
    const to = points[(i + 1) % points.length] ?? from;
    return from.y <= y === to.y <= y
      ? []
      : [from.x + ((y - from.y) / (to.y - from.y)) * (to.x - from.x)];
  });
}

function blend(canvas: Canvas, pixel: number, paint: { colour: Colour; opacity: number }): void {
  if (paint.opacity <= 0) return;
  const { pixels } = canvas;
  const { red, green, blue } = paint.colour;
  const at = pixel * 3;
  pixels[at] = mix(pixels[at], red, paint.opacity);
  pixels[at + 1] = mix(pixels[at + 1], green, paint.opacity);
  pixels[at + 2] = mix(pixels[at + 2], blue, paint.opacity);
}

function mix(below = 0, above: number, opacity: number): number {
  return Math.round(below + (above - below) * opacity);
}

function clamp(value: number): number {
  return Math.min(1, Math.max(0, value));
}
