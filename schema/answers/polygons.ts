import type { Span } from "../answer.ts";
import { type Box, boxAround, type Polygon, type Size } from "../geometry.ts";
import { type Clause, type ClauseReading, type ItemsReading, readClauses } from "./clauses.ts";
import { type Location, type Mark, pointsOf } from "./locations.ts";

/** One instance: its rings and the box around them, in pixels. */
export interface Outline {
  readonly polygons: readonly Polygon[];
  readonly box: Box;
  /** Where the rings' location tokens stand in the raw answer. */
  readonly spans: readonly Span[];
}

export interface LabeledOutline extends Outline {
  /** "" in the answers of the published models. */
  readonly label: string;
}

/**
 * Reads outlines: x y alternating, `<sep>` between the rings of one instance, `<poly>` … `</poly>`
 * around each of several instances.
 */
export function readPolygons(raw: string, size: Size): ItemsReading<LabeledOutline> {
  return readClauses<LabeledOutline>(raw, ({ label, body }) => {
    const { items, rest } = outlinesOf(body, size);
    return { items: items.map((outline) => ({ label, ...outline })), rest };
  });
}

/**
 * The outlines of a clause's body. With `<poly>` anywhere, only what stands between the two marks
 * is an instance.
 */
export function outlinesOf(body: Clause["body"], size: Size): ClauseReading<Outline> {
  if (!body.some((piece) => piece.text === "<poly>")) return outlineOf(body, size);
  const items: Outline[] = [];
  const rest: (Location | Mark)[] = [];
  let open: (Location | Mark)[] | null = null;
  for (const piece of body) {
    if (piece.text === "<poly>") {
      for (const unfinished of open ?? []) rest.push(unfinished);
      open = [piece];
    } else if (!open) {
      rest.push(piece);
    } else if (piece.text === "</poly>") {
      const instance = outlineOf(open.slice(1), size);
      for (const outline of instance.items) items.push(outline);
      for (const left of instance.items.length > 0 ? instance.rest : [...open, piece])
        rest.push(left);
      open = null;
    } else {
      open.push(piece);
    }
  }
  for (const unfinished of open ?? []) rest.push(unfinished);
  return { items, rest };
}

/** One instance, or none where no ring has three points. */
function outlineOf(pieces: Clause["body"], size: Size): ClauseReading<Outline> {
  const polygons: Polygon[] = [];
  const spans: Span[] = [];
  const rest: (Location | Mark)[] = [];
  for (const ring of ringsOf(pieces)) {
    const points = pointsOf(ring, size);
    const used = points.length < 3 ? 0 : points.length * 2;
    if (used > 0) polygons.push({ points });
    for (const location of ring.slice(0, used)) spans.push(location.span);
    for (const location of ring.slice(used)) rest.push(location);
  }
  for (const piece of pieces) if (piece.text === "</poly>") rest.push(piece);
  if (polygons.length === 0) return { items: [], rest: pieces };
  return {
    items: [{ polygons, box: boxAround(polygons.flatMap((polygon) => polygon.points)), spans }],
    rest,
  };
}

/** Locations between marks. */
function ringsOf(pieces: Clause["body"]): Location[][] {
  let ring: Location[] = [];
  const rings = [ring];
  for (const piece of pieces) {
    if (piece.kind === "location") {
      ring.push(piece);
    } else {
      ring = [];
      rings.push(ring);
    }
  }
  return rings;
}
