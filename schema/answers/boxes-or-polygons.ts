import type { Span } from "../answer.ts";
import type { Box, Polygon, Size } from "../geometry.ts";
import { boxesOf } from "./boxes.ts";
import { type ItemsReading, readClauses } from "./clauses.ts";
import { outlinesOf } from "./polygons.ts";

/** A labeled thing, in pixels; `polygons` is null where the model gave a box and no outline. */
export interface PlacedObject {
  readonly label: string;
  readonly box: Box;
  readonly polygons: readonly Polygon[] | null;
  /** Where the location tokens stand in the raw answer. */
  readonly spans: readonly Span[];
}

/**
 * Reads detections: each label is followed by boxes, or by outlines between `<poly>` and `</poly>`.
 */
export function readObjects(raw: string, size: Size): ItemsReading<PlacedObject> {
  return readClauses<PlacedObject>(raw, ({ label, body }) => {
    if (body.some((piece) => piece.text === "<poly>")) {
      const { items, rest } = outlinesOf(body, size);
      return { items: items.map((outline) => ({ label, ...outline })), rest };
    }
    const { items, rest } = boxesOf(body, size);
    return { items: items.map((placed) => ({ label, ...placed, polygons: null })), rest };
  });
}
