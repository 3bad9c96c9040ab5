import type { Box, Size } from "../geometry.ts";
import { boxOf, leadingLocations, piecesOf } from "./locations.ts";
import type { TextReading } from "./text.ts";

export interface RegionTextReading extends TextReading {
  /** The region as the model repeated it after the text, in pixels; null where it did not. */
  readonly region: Box | null;
}

/**
 * Reads an answer about one region: its text, up to the first location token, and then perhaps the
 * region's own four locations again.
 */
export function readRegionText(raw: string, size: Size): RegionTextReading {
  const pieces = piecesOf(raw);
  const [first] = pieces;
  const text = first?.kind === "text" ? first : null;
  const after = text ? pieces.slice(1) : pieces;
  const corners = leadingLocations(after, 4);
  const isRepeated = corners.length === 4;
  return {
    text: text?.text ?? "",
    spans: text ? [text.span] : [],
    region: isRepeated ? boxOf(corners, size) : null,
    remainder: (isRepeated ? after.slice(4) : after).map((piece) => piece.text).join(""),
  };
}
