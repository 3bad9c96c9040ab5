import type { Box, Polygon } from "../../schema/geometry.ts";
import type {
  DetectedObject,
  OcrRegion,
  SegmentedInstance,
  TaskResult,
} from "../../schema/result.ts";

/** What is drawn for one thing: its outline, and what is written beside it. */
export interface Shape {
  /** Shapes with the same label have the same colour. */
  readonly label: string;
  readonly box: Box;
  /** Drawn instead of the box where there are any. */
  readonly rings: readonly Polygon[];
  /** Whether the rings are an area (tinted) or a frame. */
  readonly isArea: boolean;
}

/** Everything in a result that has a place in the image. */
export function shapesOf(result: TaskResult): Shape[] {
  switch (result.type) {
    case "DetectionResult":
      return result.objects.map(objectShape);
    case "RegionCaptionsResult":
      return result.regions.map(({ text, box }) => boxShape(text, box));
    case "RegionProposalsResult":
      return result.regions.map(({ box }) => boxShape("", box));
    case "GroundingResult":
      return result.phrases.flatMap(({ text, boxes }) => boxes.map((box) => boxShape(text, box)));
    case "OcrResult":
      return result.regions.map(lineShape);
    case "SegmentationResult":
      return result.instances.map(instanceShape);
    case "RegionTextResult":
      return [boxShape(result.text, result.region)];
    case "PromptResult":
      return [
        ...result.objects.map(objectShape),
        ...result.regions.map(lineShape),
        ...result.instances.map(instanceShape),
      ];
    case "CaptionResult":
    case "AnswerResult":
      return [];
  }
}

function boxShape(label: string, box: Box): Shape {
  return { label, box, rings: [], isArea: false };
}

function objectShape({ label, box, polygons }: DetectedObject): Shape {
  return { label, box, rings: polygons ?? [], isArea: true };
}

function lineShape({ text, quad, box }: OcrRegion): Shape {
  return { label: text, box, rings: [quad], isArea: false };
}

function instanceShape({ polygons, box }: SegmentedInstance): Shape {
  return { label: "", box, rings: polygons, isArea: true };
}
