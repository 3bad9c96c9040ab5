import { once } from "node:events";
import { systemFault } from "../adapters/system-fault.ts";
import { AppError, asAppError } from "../core/errors.ts";
import { exactName } from "../core/model-names.ts";
import type { Engine, ModelInfo } from "../core/ports.ts";
import {
  answerSeen,
  failed,
  type ImageAnswers,
  type TaskRequest,
} from "../inference/answer-tasks.ts";
import { writePicture } from "./annotated-files.ts";
import { interruptedExitCode } from "./failure.ts";
import { readImageFile } from "./image-files.ts";
import { outcomeText, printable } from "./print.ts";
import { openProgress } from "./progress.ts";
import { wordOf } from "./task-options.ts";

export interface AnalyzeWork {
  readonly model: ModelInfo;
  readonly tasks: readonly TaskRequest[];
  readonly files: readonly string[];
  /** Where the annotated picture of each file goes; empty where none is wanted. */
  readonly pictures: readonly string[];
  /** How many things were left out when the files were gathered, for the summary. */
  readonly skipped: number;
}

interface Output {
  readonly isJson: boolean;
  readonly debug: boolean;
  readonly signal: AbortSignal;
}

/** What went wrong with a file, or with one task of it. */
interface Failure {
  readonly code: string;
  readonly message: string;
  readonly fix: string | null;
}

interface Analyzed {
  readonly answers: ImageAnswers;
  readonly failures: readonly Failure[];
  /** The annotated picture that was written. */
  readonly drawn: string | null;
}

/**
 * Answers tasks about files, one after the other, and holds nothing of a file that is done: results
 * on stdout, failures and a summary on stderr. Returns the exit code: 1 if any file failed, 130 if
 * it was interrupted. Throws AppError where no file can be answered.
 */
export async function analyzeFiles(
  engine: Engine,
  work: AnalyzeWork,
  { isJson, debug, signal }: Output,
): Promise<number> {
  const started = performance.now();
  const progress = openProgress(String);
  const counts = { answered: 0, failed: 0 };
  progress.begin(work.files.length);
  try {
    for (const [i, file] of work.files.entries()) {
      if (signal.aborted) break;
      progress.update(i, printable(file));
      const picture = work.pictures[i] ?? null;
      const analyzed = await analyzeFile(engine, { ...work, file, picture, debug }, signal);
      if (!analyzed) break;
      const { answers, failures, drawn } = analyzed;
      counts[failures.length === 0 ? "answered" : "failed"] += 1;
      let isTaken = true;
      progress.around(() => {
        const text = isJson
          ? jsonLine(file, work, answers)
          : textOf({ file, picture: drawn, answers }, work);
        if (text !== "") isTaken = process.stdout.write(text);
        for (const failure of failures) process.stderr.write(failureLine(file, failure));
      });
      if (!isTaken) await once(process.stdout, "drain"); // a slow reader must not fill the memory
    }
  } finally {
    progress.stop();
    const seconds = ((performance.now() - started) / 1_000).toFixed(1);
    const total = `${work.files.length} ${work.files.length === 1 ? "file" : "files"}`;
    process.stderr.write(
      `${signal.aborted ? "interrupted: " : ""}${total}: ${counts.answered} answered, ` +
        `${counts.failed} failed, ${work.skipped} skipped, ${seconds} s\n`,
    );
  }
  if (signal.aborted) return interruptedExitCode;
  return counts.failed === 0 ? 0 : 1;
}

/** Null where it was interrupted. */
async function analyzeFile(
  engine: Engine,
  work: AnalyzeWork & { file: string; picture: string | null; debug: boolean },
  signal: AbortSignal,
): Promise<Analyzed | null> {
  const { file, picture, tasks } = work;
  const model = exactName(work.model);
  try {
    const bytes = await readImageFile(file);
    const [sight] = await engine.see(model, [bytes], signal);
    if (!sight || sight instanceof Error) throw sight ?? new Error("There are no image features.");
    const outcomes = await answerSeen(engine, { model, sight, tasks }, signal);
    const answers = { size: sight.size, imageTimings: sight.timings, outcomes };
    const failures = outcomes.flatMap(({ error }, i) =>
      error ? [{ ...error, message: `${taskWord(tasks, i)}: ${error.message}`, fix: null }] : [],
    );
    if (picture === null) return { answers, failures, drawn: null };
    const drawable = outcomes.flatMap(({ result }) => result ?? []);
    try {
      await writePicture(picture, bytes, drawable);
      return { answers, failures, drawn: picture };
    } catch (error) {
      return { answers, failures: [...failures, failureOf(error, work.debug)], drawn: null };
    }
  } catch (error) {
    if (signal.aborted) return null;
    const { code } = asAppError(error);
    if (code === "MODEL_UNAVAILABLE" || code === "MODEL_NOT_FOUND") throw error; // as it is for every file
    const failure = failureOf(error, work.debug);
    const outcome = failed(
      error instanceof AppError ? error : new AppError("SOURCE_CORRUPT", failure.message),
    );
    const answers = { size: null, imageTimings: null, outcomes: tasks.map(() => outcome) };
    return { answers, failures: [failure], drawn: null };
  }
}

function taskWord(tasks: readonly TaskRequest[], i: number): string {
  const task = tasks[i];
  return task ? wordOf(task.name) : "";
}

function failureOf(error: unknown, debug: boolean): Failure {
  if (debug && error instanceof Error) process.stderr.write(`${error.stack ?? error.message}\n`);
  if (error instanceof AppError)
    return { code: error.code, message: error.message, fix: error.fix };
  const fault = systemFault(error);
  if (fault) return { code: "SOURCE_UNREACHABLE", ...fault };
  return {
    code: "MODEL_FAILED",
    message: "The model failed on this image.",
    fix: "Run it again with --debug to see why.",
  };
}

/** One line, whatever the names and messages hold. */
function failureLine(file: string, { code, message, fix }: Failure): string {
  return `failed: ${printable(`${file}: ${code}: ${message}${fix ? ` fix: ${fix}` : ""}`)}\n`;
}

function textOf(
  { file, picture, answers }: { file: string; picture: string | null; answers: ImageAnswers },
  { model, tasks }: AnalyzeWork,
): string {
  const { size, imageTimings, outcomes } = answers;
  if (!size) return ""; // its line is on stderr
  const taskMs = Math.max(
    ...outcomes.map((outcome) =>
      outcome.error ? 0 : outcome.timings.encodeMs + outcome.timings.generateMs,
    ),
  );
  const ms =
    taskMs +
    (imageTimings ? imageTimings.decodeMs + imageTimings.pixelsMs + imageTimings.visionMs : 0);
  const place = picture ? `  → ${printable(picture)}` : "";
  const heading = `${printable(file)}  ${size.width}×${size.height}  ${model.id}  ${Math.round(ms)} ms${place}\n`;
  return `${heading}${tasks.map((task, i) => (outcomes[i] ? outcomeText(task, outcomes[i]) : "")).join("")}\n`;
}

function jsonLine(image: string, { model, tasks }: AnalyzeWork, answers: ImageAnswers): string {
  const { size, imageTimings, outcomes } = answers;
  const answered = tasks.map(({ name }, i) => ({ name, ...outcomes[i] }));
  const { width, height } = size ?? { width: null, height: null };
  return `${JSON.stringify({ image, width, height, model: model.id, timings: imageTimings, tasks: answered })}\n`;
}
