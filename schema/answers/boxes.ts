import type { Span } from "../answer.ts";
import type { Box, Size } from "../geometry.ts";
import { type Clause, type ClauseReading, type ItemsReading, readClauses } from "./clauses.ts";
import { boxOf, leadingLocations } from "./locations.ts";

/** A box in pixels, and where its four location tokens stand in the raw answer. */
export interface PlacedBox {
  readonly box: Box;
  readonly spans: readonly Span[];
}

/** A label and all the boxes it was given. */
export interface BoxGroup {
  readonly label: string;
  readonly boxes: readonly PlacedBox[];
}

/**
 * Reads labels followed by one or more boxes of four locations each: region captions, region
 * proposals (no label), grounded phrases.
 */
export function readBoxes(raw: string, size: Size): ItemsReading<BoxGroup> {
  return readClauses<BoxGroup>(raw, (clause) => {
    const { items: boxes, rest } = boxesOf(clause.body, size);
    return { items: boxes.length > 0 ? [{ label: clause.label, boxes }] : [], rest };
  });
}

/** The boxes that a clause's body begins with. */
export function boxesOf(body: Clause["body"], size: Size): ClauseReading<PlacedBox> {
  const locations = leadingLocations(body);
  const boxes: PlacedBox[] = [];
  for (let i = 0; i + 4 <= locations.length; i += 4) {
    const corners = locations.slice(i, i + 4);
    boxes.push({ box: boxOf(corners, size), spans: corners.map((corner) => corner.span) });
  }
  return { items: boxes, rest: body.slice(boxes.length * 4) };
}
