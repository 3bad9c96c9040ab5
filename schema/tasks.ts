import type { TaskName, VisionTask } from "./task.ts";
import { ask } from "./tasks/ask.ts";
import { caption } from "./tasks/caption.ts";
import { describeRegion } from "./tasks/describe-region.ts";
import { describeRegions } from "./tasks/describe-regions.ts";
import { detectObjects } from "./tasks/detect-objects.ts";
import { groundPhrases } from "./tasks/ground-phrases.ts";
import { prompt } from "./tasks/prompt.ts";
import { proposeRegions } from "./tasks/propose-regions.ts";
import { readText } from "./tasks/read-text.ts";
import { segment } from "./tasks/segment.ts";

/**
 * A task that has forgotten its input type. Nothing is lost: GraphQL picks the input type, and we
 * the task, by one and the same field name, so a coerced input only ever meets the task it was
 * coerced for. (Method parameters are bivariant, so no cast is needed to say so.)
 */
export type CatalogueTask = VisionTask<Readonly<Record<string, unknown>>>;

const catalogue: Readonly<Record<TaskName, CatalogueTask>> = Object.freeze({
  CAPTION: caption,
  DETECT_OBJECTS: detectObjects,
  DESCRIBE_REGIONS: describeRegions,
  PROPOSE_REGIONS: proposeRegions,
  GROUND_PHRASES: groundPhrases,
  READ_TEXT: readText,
  SEGMENT: segment,
  DESCRIBE_REGION: describeRegion,
  ASK: ask,
  PROMPT: prompt,
});

/** Every task, in the order in which the service names them. */
export const visionTasks: readonly CatalogueTask[] = Object.freeze(Object.values(catalogue));

export function taskByName(name: TaskName): CatalogueTask {
  return catalogue[name];
}

/** The task behind a field of TaskInput; null where there is no such field. */
export function taskByField(field: string): CatalogueTask | null {
  return visionTasks.find((task) => task.field === field) ?? null;
}
