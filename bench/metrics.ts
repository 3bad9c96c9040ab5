import { readObjects } from "../schema/answers/boxes-or-polygons.ts";
import { readPolygons } from "../schema/answers/polygons.ts";
import { readQuads } from "../schema/answers/quads.ts";
import { readRegionText } from "../schema/answers/region-text.ts";
import type { Box, Polygon } from "../schema/geometry.ts";

// How right answers are, by the definitions of models/evaluation/README.md;
// models/training/metrics.py computes the same independently.

/** Figures of one task, 0 to 1: exact; or recall, precision and iou; or iou alone. */
export type Figures = Readonly<Record<string, number>>;

/** Locations are compared in bins: 1000 on each axis. */
const bins = { width: 1000, height: 1000 };
const rightIou = 0.5;
const maskCells = 256;

/** Figures of one task of the evaluation set, for pairs of the right answer and the given one. */
export function figuresOf(
  task: string,
  pairs: readonly { wanted: string; given: string }[],
): Figures {
  if (task.endsWith("_SEGMENTATION") || task === "REGION_TO_SEGMENTATION") {
    return { iou: mean(pairs.map(({ wanted, given }) => maskIou(ringOf(wanted), ringOf(given)))) };
  }
  if (task === "OCR_WITH_REGION") return detection(pairs, quadsOf);
  if (
    /^(OD|DENSE_REGION_CAPTION|REGION_PROPOSAL|CAPTION_TO_PHRASE_GROUNDING|OPEN_VOCABULARY_DETECTION)$/.test(
      task,
    )
  ) {
    return detection(pairs, boxesOf);
  }
  const text = task.startsWith("REGION_TO_")
    ? (raw: string) => readRegionText(raw, bins).text
    : (raw: string) => raw.trim();
  return { exact: mean(pairs.map(({ wanted, given }) => (text(wanted) === text(given) ? 1 : 0))) };
}

interface LabelledBox {
  readonly label: string;
  readonly box: Box;
}

function detection(
  pairs: readonly { wanted: string; given: string }[],
  read: (raw: string) => LabelledBox[],
): Figures {
  const total = { right: 0, wanted: 0, given: 0, iou: 0 };
  for (const pair of pairs) {
    const [wanted, given] = [read(pair.wanted), read(pair.given)];
    const ious = match(wanted, given);
    total.wanted += wanted.length;
    total.given += given.length;
    total.right += ious.filter((value) => value >= rightIou).length;
    total.iou += ious.reduce((sum, value) => sum + value, 0);
  }
  const share = (part: number, whole: number) => (whole === 0 ? 0 : part / whole);
  return {
    recall: share(total.right, total.wanted),
    precision: share(total.right, total.given),
    iou: share(total.iou, total.wanted),
  };
}

/** IoUs of pairs with the same label, the best pair first; each box is in one pair at most. */
function match(wanted: readonly LabelledBox[], given: readonly LabelledBox[]): number[] {
  const pairs = wanted.flatMap((want) =>
    given
      .filter((give) => give.label === want.label)
      .map((give) => ({ want, give, value: iou(want.box, give.box) })),
  );
  const used = new Set<LabelledBox>();
  const best = pairs.filter(({ value }) => value > 0).sort((a, b) => b.value - a.value);
  return best.flatMap(({ want, give, value }) => {
    if (used.has(want) || used.has(give)) return [];
    used.add(want).add(give);
    return [value];
  });
}

function boxesOf(raw: string): LabelledBox[] {
  return readObjects(raw, bins).items.map(({ label, box }) => ({ label, box }));
}

function quadsOf(raw: string): LabelledBox[] {
  return readQuads(raw, bins).items.map(({ text, box }) => ({ label: text, box }));
}

function ringOf(raw: string): Polygon["points"] {
  return readPolygons(raw, bins).items[0]?.polygons[0]?.points ?? [];
}

function iou(a: Box, b: Box): number {
  const shared = area({
    x0: Math.max(a.x0, b.x0),
    y0: Math.max(a.y0, b.y0),
    x1: Math.min(a.x1, b.x1),
    y1: Math.min(a.y1, b.y1),
  });
  return shared > 0 ? shared / (area(a) + area(b) - shared) : 0;
}

function area({ x0, y0, x1, y1 }: Box): number {
  return Math.max(0, x1 - x0) * Math.max(0, y1 - y0);
}

function maskIou(a: Polygon["points"], b: Polygon["points"]): number {
  const [first, second] = [cellsInside(a), cellsInside(b)];
  let both = 0;
  let either = 0;
  for (let i = 0; i < first.length; i += 1) {
    both += first[i] && second[i] ? 1 : 0;
    either += first[i] || second[i] ? 1 : 0;
  }
  return either === 0 ? 0 : both / either;
}

/**
 * Which cell centres of a grid over the image lie inside a ring, by the even-odd rule: 1 or 0, row
 * by row.
 */
function cellsInside(ring: Polygon["points"]): Uint8Array {
  const cells = new Uint8Array(maskCells * maskCells);
  const centre = (i: number) => ((i + 0.5) * bins.width) / maskCells;
  for (const [i, from] of ring.entries()) {
    const to = ring[(i + 1) % ring.length];
    if (!to || from.y === to.y) continue;
    for (let row = 0; row < maskCells; row += 1) {
      const y = centre(row);
      if (from.y > y === to.y > y) continue;
      const crossing = ((to.x - from.x) * (y - from.y)) / (to.y - from.y) + from.x;
      for (let column = 0; column < maskCells && centre(column) < crossing; column += 1) {
        const cell = row * maskCells + column;
        cells[cell] = 1 - (cells[cell] ?? 0);
      }
    }
  }
  return cells;
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
