import { AppError } from "../core/errors.ts";
import type { ModelInfo } from "../core/ports.ts";
import type { GenerateOptions, TaskName } from "../schema/task.ts";
import { visionTasks } from "../schema/tasks.ts";

/** What a model folder's vedere.json says; null where it leaves a field out. */
export type Manifest = { readonly [Field in Exclude<keyof ModelInfo, "isDefault" | "folder">]: ModelInfo[Field] | null };

/**
 * Reads the text of a vedere.json. `precision` is one name, or an object with a name for each graph, which becomes the list `graph=name,…`.
 * Throws AppError MODEL_UNAVAILABLE, naming the file and the field.
 */
export function parseManifest(content: string, file: string): Manifest {
  const fault = (what: string) =>
    new AppError("MODEL_UNAVAILABLE", `${file}: ${what}.`, { fix: "Correct the file, or fetch the model anew with `vedere models pull`." });
  const manifest = parseJson(content);
  if (!isObject(manifest)) throw fault("it is not a JSON object");
  const unknown = Object.keys(manifest).filter((name) => !fields.includes(name));
  if (unknown.length > 0) throw fault(`${unknown.join(", ")}: no such field; there are ${fields.join(", ")}`);

  const take = <Field>(name: string, isValid: (value: unknown) => value is Field, allowed: string): Field | null => {
    const value = manifest[name];
    if (value === undefined) return null;
    if (isValid(value)) return value;
    throw fault(`${name}: ${JSON.stringify(value)} is not ${allowed}`);
  };
  take("licence", isText, "a text"); // for people; the service does nothing with it
  const precision = take("precision", isPrecision, "a text, or an object with a text for each graph");
  return {
    id: take("id", isText, "a text"),
    description: take("description", isText, "a text"),
    revision: take("revision", isText, "a text"),
    precision: typeof precision === "string" ? precision : precision && precisionText(precision),
    tasks: take("tasks", isTaskList, `a list of ${visionTasks.map(({ name }) => name).join(", ")}`),
    defaults: take("defaults", isOptions, `an object of numbers from 0 named ${Object.keys(options).join(", ")}`),
  };
}

/** Precisions of single graphs as one text, as an Engine reads it: `vision_encoder=fp16,…`. */
export function precisionText(precisions: Readonly<Record<string, string>>): string {
  return Object.entries(precisions)
    .map(([graph, precision]) => `${graph}=${precision}`)
    .join(",");
}

const fields = ["id", "description", "revision", "precision", "licence", "tasks", "defaults"];

const options: Readonly<Record<keyof GenerateOptions, true>> = {
  beams: true,
  maxTokens: true,
  noRepeatNgramSize: true,
  lengthPenalty: true,
};

function isTaskName(value: unknown): value is TaskName {
  return visionTasks.some(({ name }) => name === value);
}

function isTaskList(value: unknown): value is TaskName[] {
  return Array.isArray(value) && value.length > 0 && value.every(isTaskName);
}

function isOptions(value: unknown): value is GenerateOptions {
  if (!isObject(value)) return false;
  return Object.entries(value).every(([name, number]) => Object.hasOwn(options, name) && typeof number === "number" && number >= 0);
}

function isPrecision(value: unknown): value is string | Record<string, string> {
  return isText(value) || (isObject(value) && Object.values(value).every(isText));
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Undefined where the text is no JSON. */
function parseJson(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch {
    return undefined;
  }
}
