import type { GenerateOptions, InputFault } from "../task.ts";

/** Bounds of GenerateOptions. */
export const optionBounds = {
  beams: { min: 1, max: 8, isInteger: true },
  maxTokens: { min: 1, max: 1024, isInteger: true },
  noRepeatNgramSize: { min: 0, max: 100, isInteger: true },
  lengthPenalty: { min: -10, max: 10, isInteger: false },
} as const satisfies Record<
  keyof GenerateOptions,
  { min: number; max: number; isInteger: boolean }
>;

const optionNames = [
  "beams",
  "maxTokens",
  "noRepeatNgramSize",
  "lengthPenalty",
] as const satisfies readonly (keyof GenerateOptions)[];

/**
 * The tokenizer's added tokens: in a prompt they are not words but a region, a separator or an end.
 */
const modelTokenPattern =
  /<loc_\d+>|<(?:s|\/s|pad|unk|mask|\/?(?:od|ocr|cap|ncap|dcap|grounding|seg|region_cap|region_to_desciption|proposal|poly)|sep|and)>/;

/** Refuses options out of their ranges. */
export function checkOptions(options: GenerateOptions | null | undefined): InputFault | null {
  for (const name of optionNames) {
    const value = options?.[name] ?? null;
    const { min, max, isInteger } = optionBounds[name];
    if (value === null || (value >= min && value <= max && (!isInteger || Number.isInteger(value))))
      continue;
    return {
      path: ["options", name],
      message: `${name} is ${value}.`,
      fix: `Give ${isInteger ? "an integer" : "a number"} from ${min} to ${max}, or leave it out.`,
    };
  }
  return null;
}

/** Refuses blank and overlong texts; lengths are UTF-16 code units. */
export function checkText(
  path: readonly string[],
  text: string,
  lengthMax: number,
): InputFault | null {
  const fix = `Give 1 to ${lengthMax} characters.`;
  if (text.trim() === "") return { path, message: "The text is blank.", fix };
  if (text.length > lengthMax)
    return { path, message: `The text has ${text.length} characters.`, fix };
  return null;
}

/**
 * As checkText, and refuses tokens that would give the prompt another meaning than its words have.
 */
export function checkWords(
  path: readonly string[],
  text: string,
  lengthMax: number,
): InputFault | null {
  const fault = checkText(path, text, lengthMax);
  if (fault) return fault;
  const [token] = modelTokenPattern.exec(text) ?? [];
  if (token === undefined) return null;
  return {
    path,
    message: `${token} is a token of the model, not a word.`,
    fix: "Leave it out; to send the model a raw prompt, use the task `prompt`.",
  };
}
