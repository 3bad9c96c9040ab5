/**
 * A graph of Florence-2, told by what it takes in; decoder steps of one answer are told apart by
 * their order.
 */
export type Part = "vision" | "embed" | "encoder" | "decoder";

/** One run of a graph, in milliseconds of `performance.now()`. */
export interface Call {
  readonly part: Part;
  readonly start: number;
  readonly end: number;
}

interface Session {
  readonly inputNames: readonly string[];
  run(...input: unknown[]): Promise<unknown>;
  endProfiling(): void;
}

/**
 * The part of ONNX Runtime's InferenceSession that is watched: this process's only class of that
 * name, whoever opens sessions.
 */
export interface SessionClass {
  create(...input: never[]): Promise<unknown>;
}

export interface Watch {
  /** Runs of all sessions since the last call of `take`. */
  take(): Call[];
  /** Ends the profiles of all sessions: each writes its own. */
  endProfiling(): void;
}

/**
 * Notes every run of every session that is opened from now on: so both sides are timed alike,
 * without a word in their code. `profile` is a prefix of files that ONNX Runtime writes its
 * profiles to; null writes none.
 */
export function watchSessions(sessions: SessionClass, profile: string | null): Watch {
  const calls: Call[] = [];
  const opened: Session[] = [];
  const create = sessions.create.bind(sessions) as (
    file: unknown,
    options?: object,
  ) => Promise<Session>;
  const watched = async (file: unknown, options: object = {}) => {
    const profiling =
      profile === null
        ? {}
        : { enableProfiling: true, profileFilePrefix: `${profile}-${opened.length}` };
    const session = await create(file, { ...options, ...profiling });
    const part = partOf(session.inputNames);
    const run = session.run.bind(session);
    session.run = async (...input) => {
      const start = performance.now();
      const output = await run(...input);
      calls.push({ part, start, end: performance.now() });
      return output;
    };
    opened.push(session);
    return session;
  };
  Object.assign(sessions, { create: watched });
  return {
    take: () => calls.splice(0),
    endProfiling: () => {
      for (const session of opened) session.endProfiling();
    },
  };
}

function partOf(inputs: readonly string[]): Part {
  if (inputs.includes("pixel_values")) return "vision";
  if (inputs.includes("input_ids")) return "embed";
  return inputs.includes("encoder_attention_mask") ? "decoder" : "encoder";
}

/** Where the time of one answered image went. */
export interface Stages {
  /** From the image's bytes to the first run of the vision graph. */
  readonly pixelsMs: number;
  readonly visionMs: number;
  readonly encodeMs: number;
  /**
   * The time of each token: from the start of its decoder run to the start of the next one, or to
   * the end.
   */
  readonly tokenMs: readonly number[];
}

/** Sorts the runs of one call that began and ended at these instants. */
export function stagesOf(
  calls: readonly Call[],
  { start, end }: { start: number; end: number },
): Stages {
  const of = (part: Part) => calls.filter((call) => call.part === part);
  const sum = (part: Part) => of(part).reduce((total, call) => total + call.end - call.start, 0);
  const steps = of("decoder").map((call) => call.start);
  return {
    pixelsMs: (of("vision")[0]?.start ?? start) - start,
    visionMs: sum("vision"),
    encodeMs: sum("encoder"),
    tokenMs: steps.map((from, i) => (steps[i + 1] ?? end) - from),
  };
}
