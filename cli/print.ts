import type { TaskOutcome } from "../core/run.ts";
import type { TaskRequest } from "../inference/answer-tasks.ts";
import type { Box } from "../schema/geometry.ts";
import type { DetectedObject, OcrRegion, SegmentedInstance, TaskResult } from "../schema/result.ts";
import { wordOf } from "./task-options.ts";

/** One line of a result: what, how sure, where. */
interface Row {
  readonly text: string;
  readonly score: number;
  readonly box?: Box;
  /** What the box alone does not tell. */
  readonly note?: string;
}

/** A task and its outcome for readers: a heading line, then aligned rows of text, score and box. */
export function outcomeText(task: TaskRequest, outcome: TaskOutcome): string {
  const heading = wordOf(task.name);
  if (outcome.error) return `${heading}  failed: ${outcome.error.message}\n`;
  const rows = rowsOf(outcome.result);
  const cut = outcome.finish === "LENGTH" ? "  (cut off at the token limit)" : "";
  const empty = rows.length === 0 ? "  nothing found" : "";
  return `${heading}${empty}${cut}\n${alignColumns(rows.map(cells))}`;
}

/** Lines with their columns padded to the widest cell, each line indented by two spaces. */
export function alignColumns(lines: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const line of lines) {
    line.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  }
  return lines
    .map((line) =>
      `  ${line.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ")}`.trimEnd().concat("\n"),
    )
    .join("");
}

/** A share from 0 to 1 for readers, rounded down: only all is 100 %. */
export function percent(share: number): string {
  return `${Math.floor(share * 1_000) / 10} %`;
}

/** A text on one line, without characters that steer a terminal. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}+/gu, " ");
}

function cells({ text, score, box, note = "" }: Row): string[] {
  const shown = printable(text.replace(/\s*\n\s*/g, " / ")); // an answer must not steer the terminal
  if (!box) return [score.toFixed(2), shown];
  const place = [box.x0, box.y0, box.x1, box.y1]
    .map((value) => value.toFixed(1).padStart(6))
    .join(" ");
  return [...(shown === "" ? [] : [shown]), score.toFixed(2), place, note];
}

function rowsOf(result: TaskResult): Row[] {
  switch (result.type) {
    case "CaptionResult":
    case "AnswerResult":
      return [result];
    case "DetectionResult":
      return result.objects.map(objectRow);
    case "RegionCaptionsResult":
      return [...result.regions];
    case "RegionProposalsResult":
      return result.regions.map((region) => ({ text: "", ...region }));
    case "GroundingResult":
      return result.phrases.flatMap(({ text, boxes, scores }) =>
        boxes.map((box, i) => ({ text, box, score: scores[i] ?? 0 })),
      );
    case "OcrResult":
      return result.regions.length > 0 ? result.regions.map(lineRow) : [result];
    case "SegmentationResult":
      return result.instances.map(instanceRow);
    case "RegionTextResult":
      return [{ text: result.text, score: result.score, box: result.region }];
    case "PromptResult": {
      const found = [
        ...result.objects.map(objectRow),
        ...result.regions.map(lineRow),
        ...result.instances.map(instanceRow),
      ];
      return found.length > 0 ? found : [{ text: result.text, score: result.score }];
    }
  }
}

function objectRow({ label, score, box, polygons }: DetectedObject): Row {
  return { text: label, score, box, note: polygons ? pointsOf({ polygons }) : "" };
}

function lineRow({ text, score, box }: OcrRegion): Row {
  return { text, score, box };
}

function instanceRow({ polygons, box, score }: SegmentedInstance): Row {
  return { text: "", score, box, note: pointsOf({ polygons }) };
}

function pointsOf({ polygons }: Pick<SegmentedInstance, "polygons">): string {
  const points = polygons.reduce((sum, polygon) => sum + polygon.points.length, 0);
  return `outline of ${points} points${polygons.length > 1 ? ` in ${polygons.length} rings` : ""}`;
}
