import type { Span } from "../answer.ts";
import { type Location, type Mark, piecesOf } from "./locations.ts";

/** A label and the locations and marks that follow it, up to the next label or `<and>`. */
export interface Clause {
  /** "" where the model placed something without naming it. */
  readonly label: string;
  readonly labelSpans: readonly Span[];
  readonly body: readonly (Location | Mark)[];
}

/** What a grammar made of one clause, and the part of its body that did not fit. */
export interface ClauseReading<Item> {
  readonly items: readonly Item[];
  readonly rest: readonly (Location | Mark)[];
}

/**
 * What a grammar made of an answer; `remainder` is what no item holds: one line for each clause,
 * its label first.
 */
export interface ItemsReading<Item> {
  readonly items: readonly Item[];
  readonly remainder: string;
}

/** Reads an answer clause by clause. */
export function readClauses<Item>(
  raw: string,
  read: (clause: Clause) => ClauseReading<Item>,
): ItemsReading<Item> {
  const items: Item[] = [];
  const left: string[] = [];
  for (const clause of clausesOf(raw)) {
    const reading = read(clause);
    for (const item of reading.items) items.push(item);
    const isHeld = reading.items.length > 0 && reading.rest.length === 0;
    if (!isHeld) left.push(clause.label + reading.rest.map((piece) => piece.text).join(""));
  }
  return { items, remainder: joinRemainders(left) };
}

/** Several remainders as one, a line each. */
export function joinRemainders(remainders: readonly string[]): string {
  return remainders.filter((remainder) => remainder !== "").join("\n");
}

function clausesOf(raw: string): Clause[] {
  const clauses: Clause[] = [];
  let body: (Location | Mark)[] | null = null;
  for (const piece of piecesOf(raw)) {
    if (piece.kind === "text") {
      body = [];
      clauses.push({ label: piece.text, labelSpans: [piece.span], body });
    } else if (piece.text === "<and>") {
      body = null;
    } else {
      if (!body) {
        body = [];
        clauses.push({ label: "", labelSpans: [], body });
      }
      body.push(piece);
    }
  }
  return clauses;
}
