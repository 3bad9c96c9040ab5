import { AppError } from "../core/errors.ts";
import {
  graphNames,
  type Precision,
  precisionSuffixes,
  stepDecoder,
} from "../core/model-layout.ts";
import { precisionText } from "./model-manifest.ts";

/** Which precision to run where a folder holds several. */
export interface PrecisionWish {
  /**
   * The operators' word, the preferred one first; null leaves it to the model and the execution
   * provider.
   */
  readonly precisions: readonly Precision[] | null;
  /** The execution provider that is tried first. */
  readonly executionProvider: string;
}

/**
 * GPUs compute in float16 at twice the speed of float32; the CPU widens float16 at every step, but
 * has instructions for int8.
 */
const gpuOrder: readonly Precision[] = [
  "fp16",
  "fp32",
  "q8",
  "int8",
  "uint8",
  "q4",
  "bnb4",
  "q4f16",
];
const cpuOrder: readonly Precision[] = [
  "fp32",
  "int8",
  "q8",
  "uint8",
  "fp16",
  "q4",
  "bnb4",
  "q4f16",
];
const gpuProviders: readonly string[] = ["cuda", "tensorrt"];

/**
 * The precision to run, out of those that the names of the files in onnx/ offer: what operators
 * wish, else what the manifest says, else what suits the execution provider. One name where all
 * graphs have it, else `graph=name,…`. A wish that the folder does not hold whole is passed over,
 * as is one against a manifest that names a precision for each graph. Throws AppError
 * MODEL_UNAVAILABLE where a graph is missing.
 */
export function choosePrecision(
  files: readonly string[],
  wish: PrecisionWish,
  declared: string | null,
): string {
  const order = gpuProviders.includes(wish.executionProvider) ? gpuOrder : cpuOrder;
  const offers = graphNames.map((graph) => ({
    graph,
    precisions: order.filter((precision) => has(files, graph, precisionSuffixes[precision])),
  }));
  const isWhole = (precision: Precision) =>
    offers.every(({ precisions }) => precisions.includes(precision));
  const wished = declared?.includes("=") ? undefined : wish.precisions?.find(isWhole);
  if (wished === undefined && declared !== null) requireFiles(files, declared);
  const chosen = wished ?? declared ?? order.find(isWhole);
  if (chosen !== undefined) return chosen;
  const missing = offers
    .filter(({ precisions }) => precisions.length === 0)
    .map(({ graph }) => `onnx/${graph}.onnx`);
  if (missing.length > 0) {
    throw lacking(`${missing.join(", ")}, in any precision`);
  }
  return precisionText(
    Object.fromEntries(offers.map(({ graph, precisions }) => [graph, precisions[0] ?? ""])),
  );
}

/** Throws where a graph is missing in the precision that is declared for it. */
function requireFiles(files: readonly string[], declared: string): void {
  const each = new Map(
    declared
      .split(",")
      .map((assignment) => [
        assignment.split("=")[0]?.trim() ?? "",
        assignment.split("=")[1]?.trim(),
      ]),
  );
  const declaredFor = (graph: string) => {
    if (!declared.includes("=")) return declared;
    return (
      each.get(graph) ??
      (graph === "decoder_model_merged"
        ? (each.get("decoder_model") ?? each.get(stepDecoder))
        : undefined)
    );
  };
  const missing = graphNames.flatMap((graph) => {
    const name = declaredFor(graph);
    const precision = cpuOrder.find((known) => known === name);
    if (precision === undefined)
      throw new AppError(
        "MODEL_UNAVAILABLE",
        `The precision of ${graph}, ${name ?? "none"}, is unknown.`,
      );
    return has(files, graph, precisionSuffixes[precision])
      ? []
      : [`onnx/${graph}${precisionSuffixes[precision]}.onnx`];
  });
  if (missing.length > 0) throw lacking(missing.join(", "));
}

function lacking(what: string): AppError {
  return new AppError("MODEL_UNAVAILABLE", `It lacks ${what}.`, {
    fix: "Fetch it anew with `vedere models pull`, or remove the folder.",
  });
}

/** The decoder comes in one graph for a single step, in one with two branches, or in two. */
function has(files: readonly string[], graph: string, suffix: string): boolean {
  const isThere = (name: string) => files.includes(`${name}${suffix}.onnx`);
  if (isThere(graph)) return true;
  return (
    graph === "decoder_model_merged" &&
    (isThere(stepDecoder) || (isThere("decoder_model") && isThere("decoder_with_past_model")))
  );
}
