import { AppError } from "../../core/errors.ts";
import { readGraph } from "../build/onnx/read.ts";
import { fromFloat16 } from "./float16.ts";
import type { Graph } from "./graph.ts";
import { floatsOf, integers } from "./values.ts";

/** The vectors of tokens. */
export interface Embedding {
  /**
   * Of S ids in a row: [S, D]. Throws AppError MODEL_FAILED for an id that the model has no vector
   * of.
   */
  rowsOf(ids: readonly number[]): Promise<Float32Array>;
}

/**
 * The embedding of an embed_tokens graph, looked up in our own memory: a session's call for each
 * token costs more than the look-up. Null where the graph is anything but rows of one floating
 * point table (a quantized one, say), and has to be run. float16 numbers are widened row by row.
 */
export async function readEmbedding(file: string): Promise<Embedding | null> {
  const { operators, inputs, outputs, weights } = await readGraph(file);
  const [gather, cast, ...others] = operators;
  const [table = "", ids = ""] = gather?.inputs ?? [];
  const weight = weights.get(table);
  const isLookUp =
    gather?.type === "Gather" &&
    gather.domain === "" &&
    (gather.integers.get("axis") ?? 0) === 0 &&
    inputs.join() === ids;
  const isCast =
    !cast ||
    (cast.type === "Cast" &&
      cast.inputs.join() === gather?.outputs.join() &&
      cast.integers.get("to") === float32);
  if (
    !isLookUp ||
    !isCast ||
    others.length > 0 ||
    outputs.join() !== (cast ?? gather).outputs.join()
  )
    return null;
  const [rows = 0, width = 0] = weight?.dims ?? [];
  const isTable =
    weight?.dims.length === 2 &&
    (weight.element === "float32" || (weight.element === "float16" && cast));
  const bytes = isTable ? await weight.bytes() : null;
  if (!bytes || !weight) return null;
  const values =
    weight.element === "float16"
      ? new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2)
      : floats(bytes);
  if (values.length !== rows * width) return null;
  return { rowsOf: async (ids) => lookUp(values, { rows, width }, ids) };
}

/** The embedding that a session computes. */
export function runEmbedding(graph: Graph): Embedding {
  return {
    async rowsOf(ids) {
      const { inputs_embeds } = await graph.run({ input_ids: integers(ids, [1, ids.length]) }, [
        "inputs_embeds",
      ]);
      return floatsOf(inputs_embeds);
    },
  };
}

/** ONNX's number of the type. */
const float32 = 1;

function floats(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

function lookUp(
  table: Float32Array | Uint16Array,
  size: { rows: number; width: number },
  ids: readonly number[],
): Float32Array {
  const { rows, width } = size;
  const found = new Float32Array(ids.length * width);
  for (const [i, id] of ids.entries()) {
    if (id < 0 || id >= rows)
      throw new AppError(
        "MODEL_FAILED",
        `The model has no vector of the token ${id}, only of ${rows}.`,
      );
    const row = table.subarray(id * width, (id + 1) * width);
    found.set(row instanceof Uint16Array ? fromFloat16(row) : row, i * width);
  }
  return found;
}
