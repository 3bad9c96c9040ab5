import type { RawAnswer } from "./answer.ts";
import type { Size } from "./geometry.ts";
import type { TaskResult } from "./result.ts";

/** The tasks of the API, in the order of the catalogue (schema/tasks.ts). */
export type TaskName =
  | "CAPTION"
  | "DETECT_OBJECTS"
  | "DESCRIBE_REGIONS"
  | "PROPOSE_REGIONS"
  | "GROUND_PHRASES"
  | "READ_TEXT"
  | "SEGMENT"
  | "DESCRIBE_REGION"
  | "ASK"
  | "PROMPT";

/** Generation options of one request; absent fields take the model's defaults. */
export interface GenerateOptions {
  readonly beams?: number | null;
  readonly maxTokens?: number | null;
  readonly noRepeatNgramSize?: number | null;
  readonly lengthPenalty?: number | null;
}

/**
 * So many location tokens make one thing of an answer: a point of a polygon 2, a box 4, a quad 8.
 */
export type LocationGroup = 2 | 4 | 8;

/** One question to the model, and how to read its answer. */
export interface Question {
  readonly prompt: string;
  /** Locations of an answer come in groups of this many; null where nothing says so. */
  readonly locationGroup: LocationGroup | null;
  /** Never throws, whatever the text. */
  read(answer: RawAnswer, size: Size): Reading;
}

/**
 * A result and what of the raw answer it does not hold (an unfinished box after a cut), "" where it
 * holds everything.
 */
export interface Reading {
  readonly result: TaskResult;
  readonly remainder: string;
}

/** What is wrong with a task's input: `path` from the task's own input down. */
export interface InputFault {
  readonly path: readonly string[];
  readonly message: string;
  readonly fix: string;
}

/**
 * One vision task: what it is called, which input it takes, what it asks and how it reads the
 * answer. One file each in schema/tasks, one line each in the catalogue. `Input` is the GraphQL
 * input object of the field, defaults filled in.
 */
export interface VisionTask<Input = never> {
  readonly name: TaskName;
  /** The field of TaskInput. */
  readonly field: string;
  /**
   * Bounds that GraphQL's types cannot say: the first fault, or null. Regions are checked against
   * the image's size.
   */
  check(input: Input, size: Size): InputFault | null;
  /**
   * The preparatory question whose text answer `ask` needs, or null where it needs none (grounding
   * without a caption asks for one).
   */
  prepare(input: Input): Question | null;
  /** The question. `prepared` is the text that answered `prepare`. */
  ask(input: Input, size: Size, prepared: string | null): Question;
}
