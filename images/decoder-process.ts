import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { AppError, type ErrorCode } from "../core/errors.ts";
import type { Size } from "../schema/geometry.ts";

/** A line that a decoder process writes. */
export type DecoderAnswer =
  | { readonly isReady: true }
  | { readonly outOfMemory: true }
  | { readonly size: Size; readonly rss: number }
  | {
      readonly error: {
        readonly code: ErrorCode;
        readonly message: string;
        readonly fix: string | null;
      };
      readonly rss: number;
    };

export interface DecoderSettings {
  /** The program: images/decoder as it was built. */
  readonly file: string;
  /** How long one image may take, once its process is ready. */
  readonly deadlineMs: number;
  /** What a process may take of memory, its program included. */
  readonly rssMax: number;
  /** A process that holds more than this after an image ends, so that it gives back what it had. */
  readonly rssKept: number;
  /**
   * Whether the processes see the environment of this one: only where Node.js does not run without
   * it.
   */
  readonly inheritsEnvironment: boolean;
}

/** How a decode ended, for who counts. */
export type DecodeOutcome = "decoded" | "refused" | "deadline" | "memory" | "crash";

export type Decoded =
  | { readonly outcome: "decoded"; readonly size: Size }
  | { readonly outcome: Exclude<DecodeOutcome, "decoded">; readonly error: AppError };

export interface DecoderProcess {
  /** One image at a time. Never rejects. */
  decode(bytes: Uint8Array): Promise<Decoded>;
  /** False once it has ended, or is about to. */
  isAlive(): boolean;
  end(): void;
}

/** The decoder's program, from the sources or from dist/. */
export const decoderFile = fileURLToPath(
  new URL(
    import.meta.url.endsWith(".ts") ? "../dist/images/decoder.js" : "./decoder.js",
    import.meta.url,
  ),
);

/** Starts a process that decodes images, outside this one, so that it can be killed. */
export function startDecoder(settings: DecoderSettings): DecoderProcess {
  if (!existsSync(settings.file))
    throw new Error(`The decoder's program is missing: ${settings.file}.`);
  const child = spawn(
    process.execPath,
    ["--max-old-space-size=64", settings.file, String(settings.rssMax)],
    {
      stdio: ["pipe", "pipe", "inherit"],
      ...(settings.inheritsEnvironment ? {} : { env: {} }), // it has no use for secrets
    },
  );
  let isAlive = true;
  let wasReady = false;
  let fate: "deadline" | "memory" | "crash" = "crash"; // of the image in progress, if the process ends now
  let settle: (decoded: Decoded) => void = () => {};
  let becomeReady = () => {};
  const ready = new Promise<void>((resolve) => {
    becomeReady = resolve;
  });

  const kill = () => {
    isAlive = false;
    child.kill("SIGKILL");
  };
  const ended = (how: string) => {
    isAlive = false;
    becomeReady();
    settle({ outcome: fate, error: wasReady ? undone(fate, how, settings) : cannotStart(how) });
  };

  eachLine(child, (line) => {
    const answer = JSON.parse(line) as DecoderAnswer;
    if ("isReady" in answer) {
      wasReady = true;
      becomeReady();
    } else if ("outOfMemory" in answer) fate = "memory";
    else {
      if (answer.rss > settings.rssKept) kill();
      if ("size" in answer) settle({ outcome: "decoded", size: answer.size });
      else settle({ outcome: "refused", error: refusalOf(answer.error) });
    }
  });
  child.stdin?.on("error", () => {}); // its end tells
  child.on("error", (error) => ended(error.message));
  child.on("close", (code, signal) => ended(signal ?? `exit code ${code}`));

  return {
    async decode(bytes) {
      const done = new Promise<Decoded>((resolve) => {
        settle = resolve;
      });
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.byteLength);
      child.stdin?.write(length);
      child.stdin?.write(bytes);
      await ready;
      const deadline = setTimeout(() => {
        fate = "deadline";
        kill();
      }, settings.deadlineMs);
      return done.finally(() => clearTimeout(deadline));
    },
    isAlive: () => isAlive,
    end() {
      isAlive = false;
      child.stdin?.end();
    },
  };
}

function eachLine(child: ChildProcess, take: (line: string) => void): void {
  let text = "";
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      take(line);
    }
  });
}

function refusalOf({
  code,
  message,
  fix,
}: {
  code: ErrorCode;
  message: string;
  fix: string | null;
}): AppError {
  return new AppError(code, message, fix === null ? {} : { fix });
}

/** Why the image in progress was not decoded. */
function undone(
  fate: "deadline" | "memory" | "crash",
  how: string,
  { deadlineMs, rssMax }: DecoderSettings,
): AppError {
  const fix = "Save it again as an ordinary JPEG or PNG, or send a smaller image.";
  if (fate === "deadline")
    return new AppError(
      "SOURCE_TOO_LARGE",
      `The file took longer than ${deadlineMs / 1_000} s to decode.`,
      { fix },
    );
  if (fate === "memory")
    return new AppError(
      "SOURCE_TOO_LARGE",
      `Decoding the file took more than ${Math.round(rssMax / 1e6)} MB of memory.`,
      { fix },
    );
  return new AppError(
    "SOURCE_CORRUPT",
    `The file could not be decoded: its decoder ended (${how}).`,
    { fix },
  );
}

/** No image's fault. */
function cannotStart(how: string): AppError {
  return new AppError("INTERNAL", "The decoder could not be started.", {
    cause: new Error(`The decoder ended before it was ready: ${how}.`),
  });
}
