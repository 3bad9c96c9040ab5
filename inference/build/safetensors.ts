import { open, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { AppError } from "../../core/errors.ts";
import { fromFloat16 } from "../florence2/float16.ts";
import type { Tensor } from "./tensor.ts";

/**
 * The tensors of `${stem}.safetensors` by name, or of the shards that
 * `${stem}.safetensors.index.json` names; each is read where it lies when its values are asked for.
 * Throws AppError MODEL_UNAVAILABLE, naming file and tensor.
 */
export async function openSafeTensors(
  folder: string,
  stem = "model",
): Promise<ReadonlyMap<string, Tensor>> {
  const files = await filesOf(folder, `${stem}.safetensors`);
  const headers = await Promise.all(files.map((file) => readHeader({ folder, file })));
  return new Map(headers.flat());
}

interface Place {
  readonly folder: string;
  readonly file: string;
}

/** How numbers are stored: bytes each, and how they become float32. */
const formats: Readonly<
  Record<string, { bytes: number; widen: (bytes: ArrayBuffer) => Float32Array }>
> = {
  F32: { bytes: 4, widen: (bytes) => new Float32Array(bytes) },
  F16: { bytes: 2, widen: (bytes) => fromFloat16(new Uint16Array(bytes)) },
  BF16: {
    bytes: 2,
    widen: (bytes) =>
      new Float32Array(Uint32Array.from(new Uint16Array(bytes), (half) => half << 16).buffer),
  },
};
const headerBytesMax = 100e6;
/** What one read call takes, on all systems. */
const readBytesMax = 2 ** 30;

async function filesOf(folder: string, file: string): Promise<string[]> {
  const index = `${file}.index.json`;
  let text: string;
  try {
    text = await readFile(path.join(folder, index), "utf8");
  } catch {
    return [file];
  }
  const json = parse(text);
  const map = isObject(json) ? json.weight_map : null;
  if (!isObject(map)) throw fault(index, "has no weight_map");
  const shards = [...new Set(Object.values(map))].filter(
    (name): name is string => typeof name === "string" && path.basename(name) === name,
  );
  if (shards.length === 0) throw fault(index, "names no file");
  return shards.sort();
}

async function readHeader(place: Place): Promise<[string, Tensor][]> {
  const { file } = place;
  const size = await sizeOf(place);
  const length =
    size < 8
      ? 0
      : Number(new DataView(await bytesAt(place, { start: 0, end: 8 })).getBigUint64(0, true));
  if (length < 2 || length > headerBytesMax || 8 + length > size)
    throw fault(file, "is no safetensors file, or was cut off");
  const json = parse(Buffer.from(await bytesAt(place, { start: 8, end: 8 + length })).toString());
  if (!isObject(json)) throw fault(file, "has a header that is no JSON object");
  const entries = Object.entries(json).filter(([name]) => name !== "__metadata__");
  return entries.map(([name, entry]) => [
    name,
    tensorOf(place, entry, { name, start: 8 + length, size }),
  ]);
}

async function sizeOf({ folder, file }: Place): Promise<number> {
  try {
    return (await stat(path.join(folder, file))).size;
  } catch (cause) {
    throw fault(file, "cannot be read", cause);
  }
}

function tensorOf(
  place: Place,
  entry: unknown,
  spot: { name: string; start: number; size: number },
): Tensor {
  const wrong = (what: string) => fault(place.file, `holds a tensor ${spot.name} that ${what}`);
  if (!isObject(entry)) throw wrong("is not described");
  const { dtype, shape, data_offsets: offsets } = entry;
  const format = typeof dtype === "string" && Object.hasOwn(formats, dtype) ? formats[dtype] : null;
  if (!isCounts(shape) || !isCounts(offsets)) throw wrong("has no shape or no place");
  const [from = 0, to = 0] = offsets;
  const [start, end] = [spot.start + from, spot.start + to];
  const count = shape.reduce((product, each) => product * each, 1);
  if (offsets.length !== 2 || to < from || end > spot.size)
    throw wrong("lies outside of the file, which was cut off");
  if (format && to - from !== count * format.bytes)
    throw wrong(`has ${to - from} bytes for ${count} numbers`);
  return {
    dims: shape,
    async values() {
      if (!format)
        throw wrong(
          `is stored as ${String(dtype)}; ${Object.keys(formats).join(", ")} can be read`,
        );
      return format.widen(await bytesAt(place, { start, end }));
    },
  };
}

async function bytesAt(
  { folder, file }: Place,
  range: { start: number; end: number },
): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(range.end - range.start);
  const handle = await open(path.join(folder, file));
  try {
    for (let done = 0; done < bytes.length; ) {
      const length = Math.min(bytes.length - done, readBytesMax);
      const { bytesRead } = await handle.read(bytes, done, length, range.start + done);
      if (bytesRead === 0) throw fault(file, "was cut off");
      done += bytesRead;
    }
  } finally {
    await handle.close();
  }
  return bytes.buffer;
}

function fault(file: string, what: string, cause?: unknown): AppError {
  return new AppError("MODEL_UNAVAILABLE", `The checkpoint's file ${file} ${what}.`, {
    fix: "Give a Florence-2 checkpoint's folder, whole: fetch what is missing or broken anew.",
    cause,
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}
