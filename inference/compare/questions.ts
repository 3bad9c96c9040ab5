import type { Size } from "../../schema/geometry.ts";
import type { Question, TaskName } from "../../schema/task.ts";
import { taskByName } from "../../schema/tasks.ts";

/** A question that every image can be asked. */
export interface CommonQuestion {
  readonly task: TaskName;
  readonly ask: (size: Size) => Question;
}

/** Inputs of the tasks that ask about the image as a whole, and so need no words of a caller. */
const inputs: Readonly<Partial<Record<TaskName, readonly Readonly<Record<string, unknown>>[]>>> = {
  CAPTION: [{ detail: "BRIEF" }, { detail: "MORE_DETAILED" }],
  DETECT_OBJECTS: [{}],
  DESCRIBE_REGIONS: [{}],
  PROPOSE_REGIONS: [{}],
  READ_TEXT: [{ regions: true }],
};

/** The tasks by which models are compared. */
export const comparedTasks = Object.keys(inputs) as readonly (keyof typeof inputs)[];

/** Their questions, of those tasks alone that are named. */
export function commonQuestions(tasks: readonly TaskName[] = comparedTasks): CommonQuestion[] {
  return comparedTasks
    .filter((task) => tasks.includes(task))
    .flatMap((task) =>
      (inputs[task] ?? []).map((input) => ({
        task,
        ask: (size: Size) => taskByName(task).ask(input, size, null),
      })),
    );
}
