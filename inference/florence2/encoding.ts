import { AppError } from "../../core/errors.ts";
import type { Graphs } from "./graphs.ts";
import type { Tokens } from "./tokens.ts";
import type { Value } from "./values.ts";

/** A prompt about an image. */
export interface Question {
  /** [N, D] image features. */
  readonly features: Float32Array;
  /** S ids, `<s>` and `</s>` included. */
  readonly ids: readonly number[];
}

/**
 * What the decoder attends to: one row for each question, short rows filled up on the right and
 * masked.
 */
export interface Encoding {
  /** What the decoder reads of the encoder's outputs, by name. */
  readonly seen: Readonly<Record<string, Value>>;
  /** [B, L]; 0 where a row is filled up. */
  readonly mask: Value;
}

/**
 * Runs questions through the encoder as one batch: image features first, then the prompt. `outputs`
 * are those that the decoder reads.
 */
export async function encodeQuestions(
  graphs: Pick<Graphs, "embed" | "encoder">,
  questions: readonly Question[],
  model: { width: number; tokens: Pick<Tokens, "pad">; outputs: readonly string[] },
): Promise<Encoding> {
  const { width, outputs } = model;
  const rows = questions.length;
  const promptLength = Math.max(...questions.map(({ ids }) => ids.length));
  const imageLength = (questions[0]?.features.length ?? 0) / width;
  if (
    questions.some(({ features }) => features.length !== imageLength * width) ||
    !Number.isInteger(imageLength)
  ) {
    throw new AppError("INTERNAL", "A sight belongs to another model.");
  }
  const length = imageLength + promptLength;

  const ids = questions.flatMap((question) =>
    Array.from({ length: promptLength }, (_, i) => question.ids[i] ?? model.tokens.pad),
  );
  const prompts = await graphs.embed.rowsOf(ids); // [B, S, D]

  const joined = new Float32Array(rows * length * width); // [B, L, D]
  const attended = new BigInt64Array(rows * length);
  for (const [row, question] of questions.entries()) {
    const start = row * length;
    joined.set(question.features, start * width);
    joined.set(
      prompts.subarray(row * promptLength * width, (row + 1) * promptLength * width),
      (start + imageLength) * width,
    );
    attended.fill(1n, start, start + imageLength + question.ids.length);
  }
  const mask = { data: attended, dims: [rows, length] };
  const inputs = {
    inputs_embeds: { data: joined, dims: [rows, length, width] },
    attention_mask: mask,
  };
  return { seen: await graphs.encoder.run(inputs, outputs), mask };
}
