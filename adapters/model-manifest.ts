import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../core/errors.ts";
import type { ModelInfo } from "../core/ports.ts";
import type { GenerateOptions, TaskName } from "../schema/task.ts";
import { visionTasks } from "../schema/tasks.ts";

/** Lies in a model's folder and says what the model is. */
export const manifestFile = "vedere.json";

/** What a model folder's vedere.json says; null where it leaves a field out. */
export interface Manifest
  extends Nullable<
    Pick<ModelInfo, "id" | "description" | "revision" | "precision" | "tasks" | "defaults">
  > {
  /** What it was built from: the name of a model, never a path. */
  readonly base: string | null;
  readonly licence: string | null;
  /** Its files by path from the model's folder, this one excepted. */
  readonly files: readonly ManifestFile[] | null;
  /** Why it must not be served: its build found that its answers are not those they should be. */
  readonly fault: string | null;
}

export interface ManifestFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

type Nullable<Type> = { readonly [Field in keyof Type]: Type[Field] | null };

/**
 * The manifest of a model's folder, null where it has none. Throws AppError MODEL_UNAVAILABLE as
 * `parseManifest` does.
 */
export async function readManifest(folder: string): Promise<Manifest | null> {
  const file = join(folder, manifestFile);
  try {
    return parseManifest(await readFile(file, "utf8"), file);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

/**
 * Reads the text of a vedere.json. `precision` is one name, or an object with a name for each
 * graph, which becomes the list `graph=name,…`. Throws AppError MODEL_UNAVAILABLE, naming the file
 * and the field.
 */
export function parseManifest(content: string, file: string): Manifest {
  const fault = (what: string) =>
    new AppError("MODEL_UNAVAILABLE", `${file}: ${what}.`, {
      fix: "Correct the file, or fetch the model anew with `vedere models pull`.",
    });
  const manifest = parseJson(content);
  if (!isObject(manifest)) throw fault("it is not a JSON object");
  const unknown = Object.keys(manifest).filter((name) => !fields.includes(name));
  if (unknown.length > 0)
    throw fault(`${unknown.join(", ")}: no such field; there are ${fields.join(", ")}`);

  const take = <Field>(
    name: string,
    isValid: (value: unknown) => value is Field,
    allowed: string,
  ): Field | null => {
    const value = manifest[name];
    if (value === undefined) return null;
    if (isValid(value)) return value;
    throw fault(`${name}: ${JSON.stringify(value)} is not ${allowed}`);
  };
  take("layout", isText, "a text"); // the files in onnx/ show it too
  take("parity", isObject, "an object"); // what the build measured: for people
  const ready = take("ready", isBoolean, "true or false");
  const precision = take(
    "precision",
    isPrecision,
    "a text, or an object with a text for each graph",
  );
  return {
    id: take("id", isText, "a text"),
    description: take("description", isText, "a text"),
    base: take("base", isText, "a text"),
    revision: take("revision", isText, "a text"),
    precision: typeof precision === "string" ? precision : precision && precisionText(precision),
    licence: take("licence", isText, "a text"),
    tasks: take("tasks", isTaskList, `a list of ${visionTasks.map(({ name }) => name).join(", ")}`),
    defaults: take(
      "defaults",
      isOptions,
      `an object of numbers from 0 named ${Object.keys(options).join(", ")}`,
    ),
    files: take("files", isFileList, "a list of a path inside the folder, bytes and sha256 each"),
    fault:
      ready === false
        ? `Its build found that it answers otherwise than it should: see parity in ${manifestFile}.`
        : null,
  };
}

/** Precisions of single graphs as one text, as an Engine reads it: `vision_encoder=fp16,…`. */
export function precisionText(precisions: Readonly<Record<string, string>>): string {
  return Object.entries(precisions)
    .map(([graph, precision]) => `${graph}=${precision}`)
    .join(",");
}

const fields = [
  ...["id", "description", "base", "revision", "precision", "layout"],
  ...["licence", "tasks", "defaults", "files", "parity", "ready"],
];

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
  return Object.entries(value).every(
    ([name, number]) => Object.hasOwn(options, name) && typeof number === "number" && number >= 0,
  );
}

function isPrecision(value: unknown): value is string | Record<string, string> {
  return isText(value) || (isObject(value) && Object.values(value).every(isText));
}

function isFileList(value: unknown): value is ManifestFile[] {
  return Array.isArray(value) && value.length > 0 && value.every(isFile);
}

/** Paths lead nowhere but into the folder: whoever reads them opens them. */
function isFile(value: unknown): value is ManifestFile {
  if (
    !isObject(value) ||
    !isText(value.path) ||
    value.path.startsWith("/") ||
    /(^|[\\/])\.\.([\\/]|$)/.test(value.path)
  )
    return false;
  return (
    Number.isInteger(value.bytes) &&
    typeof value.sha256 === "string" &&
    /^[0-9a-f]{64}$/.test(value.sha256)
  );
}

function isBoolean(value: unknown): value is boolean {
  return typeof value === "boolean";
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
