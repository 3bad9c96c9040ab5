import { AppError } from "../../core/errors.ts";
import { InferenceSession, Tensor } from "../onnx-runtime.ts";
import { toFloat16 } from "./float16.ts";
import { floatsOf, type Value } from "./values.ts";

/** How a graph is run. */
export interface RunSettings {
  readonly executionProvider: string;
  /** Of one operator; null leaves it to ONNX Runtime. */
  readonly threads: number | null;
}

/** One ONNX graph, loaded. */
export interface Graph {
  readonly inputTypes: ReadonlyMap<string, Tensor.Type>;
  readonly outputNames: readonly string[];
  /**
   * Runs the graph: takes of `inputs` those that it declares, in the element types that it
   * declares, and computes only the named outputs (copying the large ones out is not free). Throws
   * AppError MODEL_FAILED.
   */
  run<Name extends string>(
    inputs: Readonly<Record<string, Value>>,
    outputs: readonly Name[],
  ): Promise<Record<Name, Value>>;
  release(): Promise<void>;
}

/**
 * Session options for 8-bit weights on x64 processors without VNNI (AVX2 alone). ONNX Runtime's
 * kernels there add pairs of products in 16 bits, which saturate: the error of an int8 encoder is
 * 20 times as large. With this option they take unsigned weights, which cannot. Processors with
 * VNNI ignore it.
 * https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
 */
export const exactInt8 = { session: { x64quantprecision: "1" } } as const;

/** Loads a graph from its file. Throws what ONNX Runtime throws. */
export async function openGraph(file: string, settings: RunSettings): Promise<Graph> {
  const session = await InferenceSession.create(file, {
    executionProviders: [settings.executionProvider],
    logSeverityLevel: 3,
    extra: exactInt8,
    ...(settings.threads === null ? {} : { intraOpNumThreads: settings.threads }),
  });
  const declared = session.inputMetadata.flatMap((input) =>
    input.isTensor ? [{ name: input.name, type: input.type }] : [],
  );

  async function run<Name extends string>(
    inputs: Readonly<Record<string, Value>>,
    outputs: readonly Name[],
  ): Promise<Record<Name, Value>> {
    const feeds: Record<string, Tensor> = {};
    for (const { name, type } of declared) {
      const value = inputs[name];
      if (!value)
        throw new AppError(
          "MODEL_FAILED",
          `The graph ${file} wants an input "${name}", which Florence-2 does not have.`,
        );
      feeds[name] = inputOf(value, type);
    }
    try {
      const results = await session.run(feeds, outputs);
      const values = outputs.map((name) => [name, outputOf(results[name])] as const);
      return Object.fromEntries(values) as Record<Name, Value>;
    } catch (cause) {
      throw new AppError("MODEL_FAILED", `The graph ${file} failed.`, { cause });
    }
  }
  const inputTypes = new Map(declared.map(({ name, type }) => [name, type]));
  return { inputTypes, outputNames: session.outputNames, run, release: () => session.release() };
}

function inputOf({ data, dims }: Value, type: Tensor.Type): Tensor {
  if (type === "float32") return new Tensor("float32", floatsOf({ data, dims }), dims);
  if (type === "float16" && data instanceof Float32Array)
    return new Tensor("float16", toFloat16(data), dims);
  if (type === "float16" && data instanceof Uint16Array) return new Tensor("float16", data, dims);
  if (type === "int64" && data instanceof BigInt64Array) return new Tensor("int64", data, dims);
  if (type === "bool" && data instanceof Uint8Array) return new Tensor("bool", data, dims);
  throw new TypeError(`No ${type} can be made of ${data.constructor.name}.`);
}

function outputOf(result: unknown): Value {
  if (!(result instanceof Tensor)) throw new TypeError("An output is missing or no tensor.");
  const { data, dims } = result;
  if (data instanceof Float32Array) return { data, dims };
  // Where the JavaScript engine has Float16Array, ONNX Runtime hands out one; the bits are the
  // same.
  if (result.type === "float16" && ArrayBuffer.isView(data)) {
    return { data: new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2), dims };
  }
  throw new TypeError(`An output has the type ${result.type}.`);
}
