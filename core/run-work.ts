import type { ImageTimings, TaskOutcome } from "./run.ts";

/**
 * Where the time of one run's attempt went, in milliseconds, and what came out: for logs and
 * metrics.
 */
export interface RunWork {
  readonly decodeMs: number;
  readonly pixelsMs: number;
  readonly visionMs: number;
  readonly encodeMs: number;
  readonly generateMs: number;
  readonly parseMs: number;
  readonly tokens: number;
  /** Whether the image features were known from an earlier run. */
  readonly cached: boolean;
}

/**
 * Sums up outcomes. Prompts go through encoder and decoder together, so those stages take what the
 * longest of them took.
 */
export function workOf(outcomes: readonly TaskOutcome[], image: ImageTimings | null): RunWork {
  const timings = outcomes.flatMap((outcome) => (outcome.result ? [outcome.timings] : []));
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return {
    decodeMs: image?.decodeMs ?? 0,
    pixelsMs: image?.pixelsMs ?? 0,
    visionMs: image?.visionMs ?? 0,
    encodeMs: Math.max(0, ...timings.map(({ encodeMs }) => encodeMs)),
    generateMs: Math.max(0, ...timings.map(({ generateMs }) => generateMs)),
    parseMs: sum(timings.map(({ parseMs }) => parseMs)),
    tokens: sum(timings.map(({ tokens }) => tokens)),
    cached: image?.cached === true,
  };
}
