import { readFileSync } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { basename } from "node:path";
import protobuf from "protobufjs";
import {
  type Attribute,
  type Branch,
  elements,
  type Graph,
  type Operator,
  type Port,
  type Weight,
} from "./graph.ts";

/** Protobuf cannot hold more in one message; ONNX Runtime's own limit is the same. */
const messageBytesMax = 2 ** 31 - 1;
/** What a graph's operators take at most, beside its weights. */
const operatorsBytesMax = 2 ** 26;
/**
 * Smaller ones, a reshape's sizes among them, stay in the graph: ONNX Runtime must read those
 * before it reads what lies beside.
 */
const externalBytesMin = 1024;
/**
 * Weights in a file beside the graph begin at multiples of this, so that they can be mapped into
 * memory.
 */
const alignment = 4096;

const [opset, irVersion] = [17, 8];

// The official schema; its licence is in NOTICE.md beside it.
const schema = protobuf.parse(readFileSync(new URL("onnx.proto", import.meta.url), "utf8"), {
  keepCase: true,
}).root;
const [ModelProto, GraphProto, TensorProto] = ["ModelProto", "GraphProto", "TensorProto"].map(
  (name) => schema.lookupType(`onnx.${name}`),
) as [protobuf.Type, protobuf.Type, protobuf.Type];
const fieldNumber = { graph: 7, initializer: 5, rawData: 9 } as const;
const [int64Attribute, floatAttribute, stringAttribute, graphAttribute, int64sAttribute] = [
  2, 1, 3, 5, 7,
];

/**
 * Writes a graph as an ONNX file, one weight in memory at a time; `written` hears of every weight's
 * bytes. Where the file would pass `fileBytesMax`, 2 GB, the weights go to `${file}_data` beside
 * it. Returns the files written.
 *
 * A protobuf message may be written in pieces: its fields in any order, each a tag, a length and
 * that many bytes.
 */
export async function writeGraph(
  file: string,
  graph: Graph,
  written: (bytes: number) => void = () => {},
  fileBytesMax: number = messageBytesMax,
): Promise<string[]> {
  const weightBytes = graph.weights.reduce((sum, weight) => sum + byteLength(weight), 0);
  const external = weightBytes + operatorsBytesMax > fileBytesMax ? `${file}_data` : null;
  const output = await open(file, "w");
  try {
    await (external === null
      ? writeInline(output, graph, written)
      : writeExternal(output, graph, { file: external, written }));
  } catch (error) {
    await Promise.all(
      [file, ...(external ? [external] : [])].map((path) => rm(path, { force: true })),
    );
    throw error;
  } finally {
    await output.close();
  }
  return external === null ? [file] : [file, external];
}

async function writeInline(
  output: FileHandle,
  graph: Graph,
  written: (bytes: number) => void,
): Promise<void> {
  const operators = GraphProto.encode(graphMessage(graph)).finish();
  const heads = graph.weights.map((weight) => {
    const tensor = TensorProto.encode(tensorMessage(weight)).finish();
    const raw = fieldHead(fieldNumber.rawData, byteLength(weight));
    const head = fieldHead(
      fieldNumber.initializer,
      tensor.length + raw.length + byteLength(weight),
    );
    return Buffer.concat([head, tensor, raw]);
  });
  const graphBytes = graph.weights.reduce(
    (sum, weight, i) => sum + (heads[i]?.length ?? 0) + byteLength(weight),
    operators.length,
  );
  await output.writeFile(
    Buffer.concat([modelHead(), fieldHead(fieldNumber.graph, graphBytes), operators]),
  );
  for (const [i, weight] of graph.weights.entries()) {
    await output.writeFile(heads[i] ?? new Uint8Array());
    await output.writeFile(await readWeight(weight));
    written(byteLength(weight));
  }
}

async function writeExternal(
  output: FileHandle,
  graph: Graph,
  data: { file: string; written: (bytes: number) => void },
): Promise<void> {
  const location = basename(data.file);
  const isExternal = (weight: Weight) => byteLength(weight) >= externalBytesMin;
  const inner = graph.weights.filter((weight) => !isExternal(weight));
  const outer = graph.weights.filter(isExternal);
  const inside = await Promise.all(
    inner.map(async (weight) => ({ ...tensorMessage(weight), raw_data: await readWeight(weight) })),
  );
  let offset = 0;
  const beside = outer.map((weight) => {
    const entries = { location, offset: String(offset), length: String(byteLength(weight)) };
    const external_data = Object.entries(entries).map(([key, value]) => ({ key, value }));
    offset += Math.ceil(byteLength(weight) / alignment) * alignment;
    return { ...tensorMessage(weight), external_data, data_location: 1 };
  });
  const encoded = GraphProto.encode({
    ...graphMessage(graph),
    initializer: [...inside, ...beside],
  }).finish();
  await output.writeFile(
    Buffer.concat([modelHead(), fieldHead(fieldNumber.graph, encoded.length), encoded]),
  );
  const weights = await open(data.file, "w");
  try {
    for (const weight of outer) {
      const padding = -byteLength(weight) % alignment;
      await weights.writeFile(await readWeight(weight));
      await weights.writeFile(new Uint8Array(padding === 0 ? 0 : alignment + padding));
      data.written(byteLength(weight));
    }
  } finally {
    await weights.close();
  }
  data.written(inner.reduce((sum, weight) => sum + byteLength(weight), 0));
}

async function readWeight(weight: Weight & { readonly name: string }): Promise<Uint8Array> {
  const bytes = await weight.read();
  if (bytes.length === byteLength(weight)) return bytes;
  throw new Error(
    `The weight ${weight.name} of ${weight.dims.join("×")} ${weight.element} came as ${bytes.length} bytes.`,
  );
}

function byteLength({ element, dims }: Weight): number {
  return dims.reduce((product, size) => product * size, elements[element].bytes);
}

function modelHead(): Uint8Array {
  const opset_import = [
    { domain: "", version: opset },
    { domain: "com.microsoft", version: 1 },
  ];
  return ModelProto.encode({
    ir_version: irVersion,
    producer_name: "vedere",
    opset_import,
  }).finish();
}

/** Tag and length of a field that holds bytes or a message. */
function fieldHead(number: number, length: number): Uint8Array {
  return protobuf.Writer.create()
    .uint32((number << 3) | 2)
    .uint32(length)
    .finish();
}

function graphMessage(graph: Graph) {
  return { ...branchMessage(graph, "graph"), input: graph.inputs.map(portMessage) };
}

function branchMessage({ operators, outputs }: Branch, name: string): { [key: string]: unknown } {
  return { name, node: operators.map(operatorMessage), output: outputs.map(portMessage) };
}

function operatorMessage({ type, domain, inputs, outputs, attributes }: Operator) {
  const attribute = Object.entries(attributes).map(([name, value]) => ({
    name,
    ...attributeMessage(name, value),
  }));
  return {
    op_type: type,
    domain,
    name: `${type}_${outputs[0]}`,
    input: inputs,
    output: outputs,
    attribute,
  };
}

function attributeMessage(name: string, value: Attribute) {
  if (typeof value === "number") return { type: int64Attribute, i: value };
  if (typeof value === "string") return { type: stringAttribute, s: Buffer.from(value) };
  if ("float" in value) return { type: floatAttribute, f: value.float };
  if ("graph" in value) return { type: graphAttribute, g: branchMessage(value.graph, name) };
  return { type: int64sAttribute, ints: value };
}

function tensorMessage({ name, element, dims }: Graph["weights"][number]) {
  return { name, dims, data_type: elements[element].code };
}

function portMessage({ name, element, dims }: Port) {
  const dim = dims.map((size) =>
    typeof size === "number" ? { dim_value: size } : { dim_param: size },
  );
  return { name, type: { tensor_type: { elem_type: elements[element].code, shape: { dim } } } };
}
