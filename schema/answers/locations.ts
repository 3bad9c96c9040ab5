import type { Span } from "../answer.ts";
import { type Box, boxAround, type Point, type Size } from "../geometry.ts";

/** The tokens of a raw answer as the grammars see them; `text` is the stretch itself. */
export type Piece = TextRun | Location | Mark;

/** What stands between tokens, without the white space around it; never blank. */
export interface TextRun {
  readonly kind: "text";
  readonly text: string;
  readonly span: Span;
}

/** `<loc_0>` to `<loc_999>`. */
export interface Location {
  readonly kind: "location";
  readonly text: string;
  readonly span: Span;
  readonly bin: number;
}

/** `<poly>`, `</poly>`, `<sep>` or `<and>`. */
export interface Mark {
  readonly kind: "mark";
  readonly text: string;
  readonly span: Span;
}

/**
 * Each axis has 1000 bins. The vocabulary ends at `<loc_999>` and knows no leading zeros: anything
 * else that looks like one is text.
 */
const binsPerAxis = 1000;
const tokenPattern = /<loc_(0|[1-9]\d{0,2})>|<poly>|<\/poly>|<sep>|<and>/g;

/** Cuts a raw answer into text, locations and marks; only white space is left out. */
export function piecesOf(raw: string): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const match of raw.matchAll(tokenPattern)) {
    const [text, bin] = match;
    pushText(pieces, raw, { start: from, end: match.index });
    from = match.index + text.length;
    const span = { start: match.index, end: from };
    pieces.push(
      bin === undefined
        ? { kind: "mark", text, span }
        : { kind: "location", text, span, bin: Number(bin) },
    );
  }
  pushText(pieces, raw, { start: from, end: raw.length });
  return pieces;
}

/** The locations that pieces begin with, up to `max`. */
export function leadingLocations(
  pieces: readonly Piece[],
  max = Number.POSITIVE_INFINITY,
): Location[] {
  const locations: Location[] = [];
  for (const piece of pieces) {
    if (piece.kind !== "location" || locations.length >= max) break;
    locations.push(piece);
  }
  return locations;
}

/** Locations in twos, x then y, as points in pixels. An odd last one makes no point. */
export function pointsOf(locations: readonly Location[], size: Size): Point[] {
  const points: Point[] = [];
  for (let i = 1; i < locations.length; i += 2) {
    const [x, y] = [locations[i - 1], locations[i]];
    if (x && y)
      points.push({ x: dequantize(x.bin, size.width), y: dequantize(y.bin, size.height) });
  }
  return points;
}

/**
 * The box of two opposite corners. Models sometimes give them in another order than top left,
 * bottom right: the box is the same, so it is ordered here, and everyone after may rely on x0 ≤ x1.
 */
export function boxOf(locations: readonly Location[], size: Size): Box {
  return boxAround(pointsOf(locations, size));
}

/** A box in pixels as the four location tokens that name it in a prompt. */
export function locationTokens(box: Box, size: Size): string {
  const x = (pixels: number) => `<loc_${quantize(pixels, size.width)}>`;
  const y = (pixels: number) => `<loc_${quantize(pixels, size.height)}>`;
  return x(box.x0) + y(box.y0) + x(box.x1) + y(box.y1);
}

/** The bin of a length along a side; the far edge belongs to the last bin. */
export function quantize(pixels: number, side: number): number {
  return Math.min(binsPerAxis - 1, Math.max(0, Math.floor(pixels / (side / binsPerAxis))));
}

/**
 * Florence-2 means a bin's centre: a box over the whole image comes back half a bin short at each
 * edge. It is not rounded, recorded answers of the reference depend on the fraction.
 */
export function dequantize(bin: number, side: number): number {
  return ((bin + 0.5) * side) / binsPerAxis;
}

function pushText(pieces: Piece[], raw: string, span: Span): void {
  const run = raw.slice(span.start, span.end);
  const text = run.trim();
  if (text === "") return;
  const start = span.start + run.indexOf(text);
  pieces.push({ kind: "text", text, span: { start, end: start + text.length } });
}
