import { readBoxes } from "./answers/boxes.ts";
import { readObjects } from "./answers/boxes-or-polygons.ts";
import { locationTokens } from "./answers/locations.ts";
import { readPolygons } from "./answers/polygons.ts";
import { readQuads } from "./answers/quads.ts";
import { readRegionText } from "./answers/region-text.ts";
import { readText } from "./answers/text.ts";
import type { Box, Polygon, Quad, Size } from "./geometry.ts";
import { plainPrompts, regionPrompts, textPrompts } from "./prompts.ts";
import { checkRegion } from "./tasks/region.ts";

export type { Box, Point, Polygon, Quad, Size } from "./geometry.ts";
export { classSeparator } from "./prompts.ts";

/** What a task's prompt is made of, besides the task. */
export interface PromptSlots {
  /**
   * The caption, expression, question or classes; several classes are joined with `classSeparator`.
   * Passed on unchanged.
   */
  readonly text?: string | undefined;
  /** In pixels of the image, inside it, x0 < x1 and y0 < y1. */
  readonly region?: Box | undefined;
  /** Of the image, in pixels: its own, not the model's 768×768. Needed with a region. */
  readonly size?: Size | undefined;
}

/**
 * A caption, the text in the image, or the answer to a question. Every answer's `remainder` is what
 * of the raw text it does not hold.
 */
export interface TextAnswer {
  readonly kind: "text";
  readonly text: string;
  readonly remainder: string;
}

/** What stands in a region, and the region itself where the model repeated it. */
export interface RegionTextAnswer {
  readonly kind: "regionText";
  readonly text: string;
  readonly region: Box | null;
  readonly remainder: string;
}

/**
 * Boxes and what they were called: "" in region proposals. A label with several boxes stands here
 * once for each.
 */
export interface BoxesAnswer {
  readonly kind: "boxes";
  readonly boxes: readonly { readonly label: string; readonly box: Box }[];
  readonly remainder: string;
}

/**
 * Objects with a box each; `polygons` is null where the model gave the box itself and not an
 * outline.
 */
export interface ObjectsAnswer {
  readonly kind: "objects";
  readonly objects: readonly {
    readonly label: string;
    readonly box: Box;
    readonly polygons: readonly Polygon[] | null;
  }[];
  readonly remainder: string;
}

/**
 * Lines of text with their corners, clockwise from the text's own top left, and the box around
 * those.
 */
export interface QuadsAnswer {
  readonly kind: "quads";
  readonly lines: readonly { readonly text: string; readonly quad: Quad; readonly box: Box }[];
  readonly remainder: string;
}

/**
 * Instances, each of one or more closed rings, and the box around them; labels are "" but in
 * fine-tuned models.
 */
export interface PolygonsAnswer {
  readonly kind: "polygons";
  readonly instances: readonly {
    readonly label: string;
    readonly polygons: readonly Polygon[];
    readonly box: Box;
  }[];
  readonly remainder: string;
}

/** Which answer a task has. */
export interface Answers {
  "<CAPTION>": TextAnswer;
  "<DETAILED_CAPTION>": TextAnswer;
  "<MORE_DETAILED_CAPTION>": TextAnswer;
  "<OD>": ObjectsAnswer;
  "<DENSE_REGION_CAPTION>": BoxesAnswer;
  "<REGION_PROPOSAL>": BoxesAnswer;
  "<OCR>": TextAnswer;
  "<OCR_WITH_REGION>": QuadsAnswer;
  "<CAPTION_TO_PHRASE_GROUNDING>": BoxesAnswer;
  "<REFERRING_EXPRESSION_SEGMENTATION>": PolygonsAnswer;
  "<OPEN_VOCABULARY_DETECTION>": ObjectsAnswer;
  "<VQA>": TextAnswer;
  "<REGION_TO_SEGMENTATION>": PolygonsAnswer;
  "<REGION_TO_CATEGORY>": RegionTextAnswer;
  "<REGION_TO_DESCRIPTION>": RegionTextAnswer;
  "<REGION_TO_OCR>": RegionTextAnswer;
}

/**
 * The model's own name of a task. `<VQA>`, a question in plain words, is answered by fine-tuned
 * models only.
 */
export type TaskToken = keyof Answers;

/**
 * The prompt that asks a task, as it goes to the tokenizer: `promptFor("<OD>")`,
 * `promptFor("<OPEN_VOCABULARY_DETECTION>", { text: "cat" })`, `promptFor("<REGION_TO_OCR>", {
 * region, size })`. Throws TypeError for an unknown task or a slot that the task lacks or has no
 * use for, RangeError for a region that is empty, inverted or outside the image.
 */
export function promptFor(task: TaskToken, slots: PromptSlots = {}): string {
  const { text, region, size } = slots;
  if (isKeyOf(plainPrompts, task)) {
    if (text !== undefined || region !== undefined)
      throw new TypeError(`${task} takes neither a text nor a region.`);
    return plainPrompts[task];
  }
  if (isKeyOf(textPrompts, task)) {
    if (text === undefined || region !== undefined)
      throw new TypeError(`${task} takes a text and nothing else.`);
    return textPrompts[task](text);
  }
  if (isKeyOf(regionPrompts, task)) {
    if (!region || !size || text !== undefined)
      throw new TypeError(`${task} takes a region and the image's size, and no text.`);
    const fault = checkRegion(["region"], { ...region, unit: "PIXEL" }, checkSize(size));
    if (fault) throw new RangeError(`${fault.message} ${fault.fix}`);
    return regionPrompts[task](locationTokens(region, size));
  }
  throw unknownTask(task);
}

/**
 * Reads what the model generated for a task. `rawText` keeps its location tokens (decode without
 * skipping special tokens); `<s>`, `</s>` and `<pad>` are taken out here. `size` is the image's
 * own, in pixels: the answer's geometry is in pixels too, fractions kept. Never throws for a text;
 * throws TypeError for an unknown task and RangeError for a size that is none.
 */
export function parseAnswer<Task extends TaskToken>(
  task: Task,
  rawText: string,
  size: Size,
): Answers[Task] {
  if (!isKeyOf(readers, task)) throw unknownTask(task);
  return readers[task](rawText.replace(/<\/?s>|<pad>/g, ""), checkSize(size));
}

type Readers = { readonly [Task in TaskToken]: (raw: string, size: Size) => Answers[Task] };

const readers: Readers = {
  "<CAPTION>": textAnswer,
  "<DETAILED_CAPTION>": textAnswer,
  "<MORE_DETAILED_CAPTION>": textAnswer,
  "<OD>": objectsAnswer,
  "<DENSE_REGION_CAPTION>": boxesAnswer,
  "<REGION_PROPOSAL>": boxesAnswer,
  "<OCR>": textAnswer,
  "<OCR_WITH_REGION>": quadsAnswer,
  "<CAPTION_TO_PHRASE_GROUNDING>": boxesAnswer,
  "<REFERRING_EXPRESSION_SEGMENTATION>": polygonsAnswer,
  "<OPEN_VOCABULARY_DETECTION>": objectsAnswer,
  "<VQA>": textAnswer,
  "<REGION_TO_SEGMENTATION>": polygonsAnswer,
  "<REGION_TO_CATEGORY>": regionTextAnswer,
  "<REGION_TO_DESCRIPTION>": regionTextAnswer,
  "<REGION_TO_OCR>": regionTextAnswer,
};

function textAnswer(raw: string): TextAnswer {
  const { text, remainder } = readText(raw);
  return { kind: "text", text, remainder };
}

function regionTextAnswer(raw: string, size: Size): RegionTextAnswer {
  const { text, region, remainder } = readRegionText(raw, size);
  return { kind: "regionText", text, region, remainder };
}

function boxesAnswer(raw: string, size: Size): BoxesAnswer {
  const { items, remainder } = readBoxes(raw, size);
  return {
    kind: "boxes",
    boxes: items.flatMap(({ label, boxes }) => boxes.map(({ box }) => ({ label, box }))),
    remainder,
  };
}

function objectsAnswer(raw: string, size: Size): ObjectsAnswer {
  const { items, remainder } = readObjects(raw, size);
  return {
    kind: "objects",
    objects: items.map(({ label, box, polygons }) => ({ label, box, polygons })),
    remainder,
  };
}

function quadsAnswer(raw: string, size: Size): QuadsAnswer {
  const { items, remainder } = readQuads(raw, size);
  return {
    kind: "quads",
    lines: items.map(({ text, quad, box }) => ({ text, quad, box })),
    remainder,
  };
}

function polygonsAnswer(raw: string, size: Size): PolygonsAnswer {
  const { items, remainder } = readPolygons(raw, size);
  return {
    kind: "polygons",
    instances: items.map(({ label, polygons, box }) => ({ label, polygons, box })),
    remainder,
  };
}

function checkSize(size: Size): Size {
  const isLength = (pixels: number) => Number.isFinite(pixels) && pixels > 0;
  if (isLength(size.width) && isLength(size.height)) return size;
  throw new RangeError(
    `An image of ${size.width}×${size.height} pixels does not exist. Give its width and height in pixels.`,
  );
}

function unknownTask(task: string): TypeError {
  return new TypeError(
    `${task} is no task of Florence-2. Give one of ${Object.keys(readers).join(" ")}.`,
  );
}

/** Own keys only: callers without types may name anything, "constructor" too. */
function isKeyOf<Table extends object>(table: Table, key: PropertyKey): key is keyof Table {
  return Object.hasOwn(table, key);
}
