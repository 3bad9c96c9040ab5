import type { Box, Polygon, Quad } from "./geometry.ts";

/**
 * The typed results of tasks, as they are stored: geometry in pixels of the oriented image. `type`
 * is the GraphQL type's name.
 */
export type TaskResult =
  | { readonly type: "CaptionResult"; readonly text: string; readonly score: number }
  | { readonly type: "DetectionResult"; readonly objects: readonly DetectedObject[] }
  | { readonly type: "RegionCaptionsResult"; readonly regions: readonly CaptionedRegion[] }
  | { readonly type: "RegionProposalsResult"; readonly regions: readonly ProposedRegion[] }
  | {
      readonly type: "GroundingResult";
      readonly caption: string;
      readonly phrases: readonly GroundedPhrase[];
    }
  | {
      readonly type: "OcrResult";
      readonly text: string;
      readonly score: number;
      readonly regions: readonly OcrRegion[];
    }
  | { readonly type: "SegmentationResult"; readonly instances: readonly SegmentedInstance[] }
  | {
      readonly type: "RegionTextResult";
      readonly text: string;
      readonly as: RegionAspect;
      readonly region: Box;
      readonly score: number;
    }
  | { readonly type: "AnswerResult"; readonly text: string; readonly score: number }
  | PromptResult;

export interface PromptResult {
  readonly type: "PromptResult";
  readonly text: string;
  readonly score: number;
  readonly objects: readonly DetectedObject[];
  readonly regions: readonly OcrRegion[];
  readonly instances: readonly SegmentedInstance[];
}

export type RegionAspect = "CATEGORY" | "DESCRIPTION" | "TEXT";

export interface DetectedObject {
  readonly label: string;
  readonly box: Box;
  readonly polygons: readonly Polygon[] | null;
  readonly score: number;
}

export interface CaptionedRegion {
  readonly text: string;
  readonly box: Box;
  readonly score: number;
}

export interface ProposedRegion {
  readonly box: Box;
  readonly score: number;
}

export interface GroundedPhrase {
  readonly text: string;
  readonly start: number | null;
  readonly end: number | null;
  readonly boxes: readonly Box[];
  readonly scores: readonly number[];
}

export interface OcrRegion {
  readonly text: string;
  readonly quad: Quad;
  readonly box: Box;
  readonly score: number;
}

export interface SegmentedInstance {
  readonly polygons: readonly Polygon[];
  readonly box: Box;
  readonly score: number;
}
