import type { TaskOutcome } from "../../core/run.ts";

/** A task's outcome whose answer took so many tokens. */
export function answered(tokens: number): TaskOutcome {
  return {
    result: { type: "CaptionResult", text: "a boat", score: 0.9 },
    finish: "END",
    remainder: "",
    raw: "a boat",
    timings: { encodeMs: 1, generateMs: 1, parseMs: 1, tokens },
    provenance: {
      model: "m",
      revision: "r",
      precision: "fp32",
      executionProvider: "cpu",
      beams: 1,
      prompt: "p",
      files: [],
    },
  };
}
