import type { Span } from "../answer.ts";
import { type Box, boxAround, type Quad, type Size } from "../geometry.ts";
import { type ItemsReading, readClauses } from "./clauses.ts";
import { leadingLocations, pointsOf } from "./locations.ts";

/**
 * A line of text, its corners clockwise from the text's own top left and the box around them, in
 * pixels.
 */
export interface TextQuad {
  readonly text: string;
  readonly textSpans: readonly Span[];
  readonly quad: Quad;
  readonly box: Box;
  /** Where the eight location tokens stand in the raw answer. */
  readonly spans: readonly Span[];
}

/**
 * Reads lines of text, each followed by eight locations. Locations without a text, or too few of
 * them, are remainder.
 */
export function readQuads(raw: string, size: Size): ItemsReading<TextQuad> {
  return readClauses<TextQuad>(raw, ({ label, labelSpans, body }) => {
    const corners = leadingLocations(body, 8);
    const [a, b, c, d] = pointsOf(corners, size);
    if (label === "" || !a || !b || !c || !d) return { items: [], rest: body };
    const quad: Quad = { points: [a, b, c, d] };
    const spans = corners.map((corner) => corner.span);
    return {
      items: [{ text: label, textSpans: labelSpans, quad, box: boxAround(quad.points), spans }],
      rest: body.slice(8),
    };
  });
}
