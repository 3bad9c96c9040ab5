import type { Box } from "../../schema/geometry.ts";
import type { TaskResult } from "../../schema/result.ts";

export interface LabelledBox {
  readonly label: string;
  readonly box: Box;
}

/** The boxes of a result; null where its kind has none. A region proposal's label is empty. */
export function boxesOf(result: TaskResult): LabelledBox[] | null {
  switch (result.type) {
    case "DetectionResult":
      return result.objects.map(({ label, box }) => ({ label, box }));
    case "RegionCaptionsResult":
    case "OcrResult":
      return result.regions.map(({ text, box }) => ({ label: text, box }));
    case "RegionProposalsResult":
      return result.regions.map(({ box }) => ({ label: "", box }));
    default:
      return null;
  }
}

/**
 * IoUs, above 0, of pairs of boxes with the same label: the best pair first, each box in one pair
 * at most.
 */
export function matchBoxes(a: readonly LabelledBox[], b: readonly LabelledBox[]): number[] {
  const pairs = a.flatMap((one) =>
    b
      .filter(({ label }) => label === one.label)
      .map((other) => ({ one, other, iou: iouOf(one.box, other.box) })),
  );
  const used = new Set<LabelledBox>();
  return pairs
    .filter(({ iou }) => iou > 0)
    .sort((x, y) => y.iou - x.iou)
    .flatMap(({ one, other, iou }) => {
      if (used.has(one) || used.has(other)) return [];
      used.add(one).add(other);
      return [iou];
    });
}

/** 1 for equal boxes, of no area too. */
function iouOf(a: Box, b: Box): number {
  if (a.x0 === b.x0 && a.y0 === b.y0 && a.x1 === b.x1 && a.y1 === b.y1) return 1;
  const shared = areaOf({
    x0: Math.max(a.x0, b.x0),
    y0: Math.max(a.y0, b.y0),
    x1: Math.min(a.x1, b.x1),
    y1: Math.min(a.y1, b.y1),
  });
  return shared > 0 ? shared / (areaOf(a) + areaOf(b) - shared) : 0;
}

function areaOf({ x0, y0, x1, y1 }: Box): number {
  return Math.max(0, x1 - x0) * Math.max(0, y1 - y0);
}
