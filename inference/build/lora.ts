import { AppError } from "../../core/errors.ts";
import { readJson } from "../florence2/model-config.ts";
import { openSafeTensors } from "./safetensors.ts";
import { isTransposed, nativeName } from "./spelling.ts";
import { type Tensor, transposed } from "./tensor.ts";

interface Pair {
  a?: Tensor;
  b?: Tensor;
}

/**
 * A base's tensors with a LoRA adapter (adapter_config.json and adapter_model.safetensors, as peft
 * writes them) merged into them: W + s · B A for each linear layer that it adapts, and what it
 * replaces whole (modules_to_save). Throws AppError MODEL_UNAVAILABLE, naming what does not fit.
 */
export async function mergeAdapter(
  folder: string,
  base: ReadonlyMap<string, Tensor>,
): Promise<ReadonlyMap<string, Tensor>> {
  const scale = scaleOf(await readJson(folder, "adapter_config.json"));
  return merge(base, await openSafeTensors(folder, "adapter_model"), scale);
}

function scaleOf(config: { readonly [key: string]: unknown }): number {
  const { r, lora_alpha: alpha, use_rslora: isRankStabilized, bias, peft_type: type } = config;
  if (type !== undefined && type !== "LORA") throw unfit(`it is of the type ${String(type)}`);
  if (typeof r !== "number" || typeof alpha !== "number" || !(r > 0))
    throw unfit("its adapter_config.json lacks r or lora_alpha");
  if (bias !== undefined && bias !== "none")
    throw unfit(`it was trained with biases ("${String(bias)}")`);
  if (config.use_dora === true) throw unfit("it is a DoRA adapter");
  for (const pattern of ["rank_pattern", "alpha_pattern"]) {
    const value = config[pattern];
    if (typeof value === "object" && value !== null && Object.keys(value).length > 0)
      throw unfit(`it has a ${pattern}`);
  }
  return isRankStabilized === true ? alpha / Math.sqrt(r) : alpha / r;
}

function merge(
  base: ReadonlyMap<string, Tensor>,
  adapter: ReadonlyMap<string, Tensor>,
  scale: number,
): Map<string, Tensor> {
  const merged = new Map(base);
  const pairs = new Map<string, Pair>();
  for (const [given, tensor] of adapter) {
    const name = given.replace(/^base_model\.model\./, "");
    const part = /^(.*)\.lora_([AB])(?:\.default)?\.weight$/.exec(name);
    const target = part
      ? nativeName(`${part[1]}.weight`)
      : nativeName(name.replace(/\.modules_to_save(?:\.default)?\./, "."));
    const weight = base.get(target);
    if (!weight) throw unfit(`its tensor ${given} belongs to no weight of the base`);
    if (!part) merged.set(target, isTransposed(name) ? transposed(tensor) : tensor);
    else pairs.set(target, { ...pairs.get(target), [part[2] === "A" ? "a" : "b"]: tensor });
  }
  for (const [name, { a, b }] of pairs) {
    const weight = base.get(name);
    if (!weight || !a || !b) throw unfit(`of ${name} it has one of lora_A and lora_B only`);
    merged.set(name, adapted(name, weight, { a, b, scale }));
  }
  return merged;
}

/** W [out, in] + scale · B [out, r] A [r, in]. */
function adapted(
  name: string,
  weight: Tensor,
  { a, b, scale }: Required<Pair> & { scale: number },
): Tensor {
  const [outputs = 0, inputs = 0] = weight.dims;
  const [rank = 0] = a.dims;
  if (weight.dims.length !== 2) throw unfit(`it adapts ${name}, which is no linear layer`);
  if (a.dims.join() !== [rank, inputs].join() || b.dims.join() !== [outputs, rank].join()) {
    throw unfit(
      `its matrices for ${name} are ${b.dims.join("×")} and ${a.dims.join("×")}, the weight is ${outputs}×${inputs}`,
    );
  }
  return {
    dims: weight.dims,
    async values() {
      const [values, down, up] = [await weight.values(), await a.values(), await b.values()];
      for (let output = 0; output < outputs; output += 1) {
        for (let k = 0; k < rank; k += 1) {
          const factor = scale * (up[output * rank + k] ?? 0);
          for (let input = 0; input < inputs; input += 1) {
            const place = output * inputs + input;
            values[place] = (values[place] ?? 0) + factor * (down[k * inputs + input] ?? 0);
          }
        }
      }
      return values;
    },
  };
}

function unfit(what: string): AppError {
  return new AppError("MODEL_UNAVAILABLE", `The adapter cannot be merged: ${what}.`, {
    fix: "Give a LoRA adapter of linear layers with the base that it was trained on (--base).",
  });
}
