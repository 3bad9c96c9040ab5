import { readFileSync } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import protobuf from "protobufjs";
import { type Element, elements } from "./graph.ts";

/**
 * What an ONNX file says, as far as the engine asks: branches and attributes other than integers
 * are left out.
 */
export interface ReadGraph {
  readonly operators: readonly ReadOperator[];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly weights: ReadonlyMap<string, ReadWeight>;
}

export interface ReadOperator {
  readonly type: string;
  /** Empty for ONNX's own operators. */
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly integers: ReadonlyMap<string, number>;
}

export interface ReadWeight {
  /** Null for a type that Florence-2's graphs are not made of. */
  readonly element: Element | null;
  readonly dims: readonly number[];
  /**
   * The values, little-endian and row-major, at an address that numbers of up to 4 bytes may have;
   * null where the file keeps them as lists of numbers. Not a copy: those in the file itself are a
   * view of what was read. Throws what reading the file beside it throws.
   */
  bytes(): Promise<Uint8Array | null>;
}

/**
 * Reads an ONNX file of at most 2 GB whole; weights beside it stay where they are until they are
 * asked for. Throws an Error where it is none.
 */
export async function readGraph(file: string): Promise<ReadGraph> {
  const content = await readFile(file);
  const { graph } = decode(content, file);
  const weights = (graph?.initializer ?? []).map(
    (tensor) => [tensor.name ?? "", weightOf(tensor, dirname(file))] as const,
  );
  return {
    operators: (graph?.node ?? []).map((node) => ({
      type: node.op_type ?? "",
      domain: node.domain ?? "",
      inputs: node.input ?? [],
      outputs: node.output ?? [],
      integers: new Map(
        (node.attribute ?? []).flatMap(({ name = "", i }) =>
          i === undefined ? [] : [[name, Number(i)] as const],
        ),
      ),
    })),
    inputs: (graph?.input ?? [])
      .map(({ name = "" }) => name)
      .filter((name) => !weights.some(([weight]) => weight === name)),
    outputs: (graph?.output ?? []).map(({ name = "" }) => name),
    weights: new Map(weights),
  };
}

/**
 * A message of the official schema as protobufjs decodes it: absent fields are absent, int64 may be
 * an object that Number() takes.
 */
interface ModelMessage {
  readonly graph?: {
    readonly node?: readonly NodeMessage[];
    readonly initializer?: readonly TensorMessage[];
    readonly input?: readonly { readonly name?: string }[];
    readonly output?: readonly { readonly name?: string }[];
  };
}
interface NodeMessage {
  readonly op_type?: string;
  readonly domain?: string;
  readonly input?: readonly string[];
  readonly output?: readonly string[];
  readonly attribute?: readonly { readonly name?: string; readonly i?: number | object }[];
}
interface TensorMessage {
  readonly name?: string;
  readonly data_type?: number;
  readonly dims?: readonly (number | object)[];
  readonly raw_data?: Buffer;
  readonly external_data?: readonly { readonly key?: string; readonly value?: string }[];
}

function decode(content: Buffer, file: string): ModelMessage {
  const schema = protobuf.parse(readFileSync(new URL("onnx.proto", import.meta.url), "utf8"), {
    keepCase: true,
  }).root;
  const type = schema.lookupType("onnx.ModelProto");
  try {
    return type.toObject(type.decode(content));
  } catch (cause) {
    throw new Error(`${file} is no ONNX file.`, { cause });
  }
}

function weightOf(tensor: TensorMessage, folder: string): ReadWeight {
  const [element] =
    Object.entries(elements).find(([, { code }]) => code === tensor.data_type) ?? [];
  const external = new Map(
    (tensor.external_data ?? []).map(({ key = "", value = "" }) => [key, value]),
  );
  const location = external.get("location");
  let inline: Uint8Array | null = null; // moved once: the bytes then stand elsewhere
  return {
    element: isElement(element) ? element : null,
    dims: (tensor.dims ?? []).map(Number),
    async bytes() {
      if (location === undefined && tensor.raw_data) inline ??= aligned(tensor.raw_data);
      if (location === undefined) return inline;
      return readPart(join(folder, location), {
        start: Number(external.get("offset") ?? 0),
        length: external.get("length"),
      });
    },
  };
}

function isElement(name: string | undefined): name is Element {
  return name !== undefined && Object.hasOwn(elements, name);
}

async function readPart(
  file: string,
  part: { start: number; length: string | undefined },
): Promise<Uint8Array> {
  const handle = await open(file);
  try {
    const length =
      part.length === undefined ? (await handle.stat()).size - part.start : Number(part.length);
    const bytes = new Uint8Array(length);
    const piece = 2 ** 30; // one read takes 2 GB at most
    for (let at = 0; at < length; ) {
      const { bytesRead } = await handle.read(
        bytes,
        at,
        Math.min(piece, length - at),
        part.start + at,
      );
      if (bytesRead === 0) throw new Error(`${file} ends before the weights in it do.`);
      at += bytesRead;
    }
    return bytes;
  } finally {
    await handle.close();
  }
}

/**
 * Moves a field's bytes down, within the buffer that the file was read into, to where an element of
 * 4 bytes may start: over the tag and the length in front of it, which take two bytes each at least
 * (the field's own and the message's) and have been read.
 */
function aligned(bytes: Buffer): Uint8Array {
  const excess = bytes.byteOffset % 4;
  if (excess === 0) return bytes;
  const moved = new Uint8Array(bytes.buffer, bytes.byteOffset - excess, bytes.length);
  moved.set(bytes); // set() copes with arrays that overlap
  return moved;
}
