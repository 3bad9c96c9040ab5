import type { Span } from "../answer.ts";
import { piecesOf } from "./locations.ts";

export interface TextReading {
  readonly text: string;
  /** Where the text stands in the raw answer. */
  readonly spans: readonly Span[];
  readonly remainder: string;
}

/**
 * Reads an answer that is a text: captions, text without regions, answers to questions. Texts
 * parted by location tokens become lines.
 */
export function readText(raw: string): TextReading {
  const pieces = piecesOf(raw);
  const runs = pieces.filter((piece) => piece.kind === "text");
  const others = pieces.filter((piece) => piece.kind !== "text");
  return {
    text: runs.map((run) => run.text).join("\n"),
    spans: runs.map((run) => run.span),
    remainder: others.map((piece) => piece.text).join(""),
  };
}
