import { AppError } from "../../core/errors.ts";
import { mergeAdapter } from "./lora.ts";
import { openSafeTensors } from "./safetensors.ts";
import { isTransposed, nativeName } from "./spelling.ts";
import { rowsOf, type Tensor, transposed } from "./tensor.ts";

/**
 * The weights of a checkpoint by their names in transformers' own spelling
 * (`model.vision_tower.…`), whichever spelling they came in.
 */
export interface Checkpoint {
  /**
   * The tensor of this name, which must have these dims. What is missing or of another shape is
   * remembered, and told by `finish`.
   */
  take(name: string, dims: readonly number[]): Tensor;
  /**
   * Throws AppError MODEL_UNAVAILABLE that names every tensor that was missing, of another shape,
   * or never taken.
   */
  finish(): void;
  /**
   * Reads what no header tells: that the copies of the tied embedding are copies. Throws AppError
   * MODEL_UNAVAILABLE.
   */
  checkValues(): Promise<void>;
}

const shared = "model.language_model.shared.weight";
/** Copies of the embedding, where a checkpoint stores them. */
const tied = [
  "model.language_model.encoder.embed_tokens.weight",
  "model.language_model.decoder.embed_tokens.weight",
  "lm_head.weight",
];
/** The original's bias of the output, which no released model uses. */
const outputBias = "language_model.final_logits_bias";
const namedMax = 10;

/**
 * Opens a checkpoint's folder, or that of a LoRA adapter with the folder of its base. Nothing but
 * headers is read before it is asked for.
 */
export async function openCheckpoint(
  folder: string,
  base: string | null = null,
): Promise<Checkpoint> {
  const files = await openSafeTensors(base ?? folder);
  const native = new Map<string, Tensor>();
  for (const [name, tensor] of files) {
    if (name !== outputBias)
      native.set(nativeName(name), isTransposed(name) ? transposed(tensor) : tensor);
  }
  const tensors = base === null ? native : await mergeAdapter(folder, native);
  const faults: string[] = [];
  const taken = new Set(tied);

  function take(name: string, dims: readonly number[]): Tensor {
    taken.add(name);
    const tensor = tensors.get(name);
    const fault = tensor ? misfit(name, tensor.dims, dims) : `${name} is missing`;
    if (tensor && !fault) return name === shared ? rowsOf(tensor, 0, dims[0] ?? 0) : tensor;
    if (fault && !faults.includes(fault)) faults.push(fault);
    return { dims, values: () => Promise.reject(unfit([fault ?? name])) };
  }
  return {
    take,
    finish() {
      const leftOver = [...tensors.keys()]
        .filter((name) => !taken.has(name))
        .map((name) => `${name} is not known`);
      if (faults.length + leftOver.length > 0) throw unfit([...faults, ...leftOver]);
    },
    async checkValues() {
      const bias = await files.get(outputBias)?.values();
      if (bias?.some((value) => value !== 0)) throw unfit([`${outputBias} is not zero`]);
      const embedding = tensors.get(shared);
      for (const name of tied) {
        const copy = tensors.get(name);
        if (copy && embedding && !(await areEqual(copy, embedding)))
          throw unfit([`${name} differs from the embedding, to which it should be tied`]);
      }
    },
  };
}

/** Rows of the embedding beyond the vocabulary are padding. */
function misfit(name: string, dims: readonly number[], wanted: readonly number[]): string | null {
  const [rows = 0, ...rest] = dims;
  const [least = 0, ...others] = wanted;
  if (name === shared && rows >= least && rest.join() === others.join()) return null;
  if (name === shared && rest.join() === others.join())
    return `${name} has ${rows} rows for ${least} tokens of tokenizer.json`;
  return dims.join() === wanted.join()
    ? null
    : `${name} is ${dims.join("×")}, config.json makes it ${wanted.join("×")}`;
}

async function areEqual(a: Tensor, b: Tensor): Promise<boolean> {
  if (a.dims.join() !== b.dims.join()) return false;
  const [left, right] = [await a.values(), await b.values()];
  return Buffer.compare(Buffer.from(left.buffer), Buffer.from(right.buffer)) === 0;
}

function unfit(faults: readonly string[]): AppError {
  const more = faults.length > namedMax ? `; and ${faults.length - namedMax} more` : "";
  return new AppError(
    "MODEL_UNAVAILABLE",
    `The weights do not fit: ${faults.slice(0, namedMax).join("; ")}${more}.`,
    {
      fix: "Give the checkpoint with the config.json and tokenizer.json that belong to it.",
    },
  );
}
