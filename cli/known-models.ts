import type { TaskName } from "../schema/task.ts";
import { visionTasks } from "../schema/tasks.ts";
import { usageError } from "./failure.ts";

/**
 * What is written into the vedere.json of a pulled model, beside its id, revision and precision.
 */
export interface PulledManifest {
  readonly description: string;
  readonly licence?: string;
  readonly tasks?: readonly TaskName[];
}

/**
 * The public models by their short names. Only fine-tuned ones have learned to answer questions.
 */
const known: Readonly<Record<string, { repository: string; manifest: PulledManifest }>> = {
  "florence-2-base": publicModel(
    "Florence-2-base",
    "Florence-2 base (0.23 B parameters): photographs, documents and scenes of all kinds; fast.",
  ),
  "florence-2-base-ft": publicModel(
    "Florence-2-base-ft",
    "Florence-2 base (0.23 B parameters), fine-tuned on many tasks, questions included; fast.",
  ),
  "florence-2-large": publicModel(
    "Florence-2-large",
    "Florence-2 large (0.77 B parameters): more accurate than base, about three times slower.",
  ),
  "florence-2-large-ft": publicModel(
    "Florence-2-large-ft",
    "Florence-2 large (0.77 B parameters), fine-tuned on many tasks, questions included; the most accurate.",
  ),
};

/** The short names. */
export const shortNames: readonly string[] = Object.keys(known);

/**
 * What to fetch for a short name or for the owner/name of any repository in the same layout. Throws
 * AppError INVALID.
 */
export function knownModel(name: string): {
  id: string;
  repository: string;
  manifest: PulledManifest;
} {
  const short = name.toLowerCase();
  const listed = Object.hasOwn(known, short) ? known[short] : undefined;
  if (listed) return { id: short, ...listed };
  const [, last] = /^[\w.-]+\/(\w[\w.-]*)$/.exec(name) ?? [];
  if (!last)
    throw usageError(
      `${name} is no model of the hub.`,
      `Use ${shortNames.join(", ")}, or owner/name of a repository in the same ONNX layout.`,
    );
  return {
    id: last.toLowerCase(),
    repository: name,
    manifest: { description: `${name} from the hub.` },
  };
}

function publicModel(
  name: string,
  description: string,
): { repository: string; manifest: PulledManifest } {
  const tasks = visionTasks
    .map((task) => task.name)
    .filter((task) => task !== "ASK" || name.endsWith("-ft"));
  return { repository: `onnx-community/${name}`, manifest: { description, licence: "MIT", tasks } };
}
