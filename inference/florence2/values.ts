import { fromFloat16, toFloat16 } from "./float16.ts";

/**
 * Numbers with a shape; a `Uint16Array` holds float16 bits. The first dimension counts the rows of
 * a batch.
 */
export interface Value {
  readonly data: Float32Array | Uint16Array | BigInt64Array | Uint8Array;
  readonly dims: readonly number[];
}

/**
 * The rows of a value in another order; some may be repeated, some dropped. Rows that keep their
 * order move up in place, so that a batch shrinks without a second copy of its caches; any other
 * order is written to a buffer from `allocate`. Uses `source` up.
 */
export function gatherRows(
  source: Value,
  rows: readonly number[],
  allocate: (bytes: number) => ArrayBuffer,
): Value {
  const [count = 0, ...shape] = source.dims;
  const from = new Uint8Array(source.data.buffer, source.data.byteOffset, source.data.byteLength);
  const rowBytes = from.length / count;
  const inOrder = rows.every((row, i) => i === 0 || row > (rows[i - 1] ?? row));
  const to = inOrder ? from : new Uint8Array(allocate(rows.length * rowBytes));
  for (const [i, row] of rows.entries()) {
    if (!inOrder) to.set(from.subarray(row * rowBytes, (row + 1) * rowBytes), i * rowBytes);
    else if (row !== i) to.copyWithin(i * rowBytes, row * rowBytes, (row + 1) * rowBytes);
  }
  const length = (rows.length * source.data.length) / count;
  return { data: sameKind(source.data, to, length), dims: [rows.length, ...shape] };
}

/** The numbers of a floating point value. */
export function floatsOf(value: Value | undefined): Float32Array {
  if (value?.data instanceof Float32Array) return value.data;
  if (value?.data instanceof Uint16Array) return fromFloat16(value.data);
  throw new TypeError("Not floating point numbers.");
}

/** The same numbers in another element type; the value itself where it has that type. */
export function inElement(value: Value, element: "float32" | "float16"): Value {
  if (value.data instanceof (element === "float16" ? Uint16Array : Float32Array)) return value;
  const numbers = floatsOf(value);
  return { data: element === "float16" ? toFloat16(numbers) : numbers, dims: value.dims };
}

/** Rows of one size, as one view each: [rows, …] flattened. */
export function viewsOf(numbers: Float32Array, rows: number): Float32Array[] {
  const size = numbers.length / rows;
  return Array.from({ length: rows }, (_, row) => numbers.subarray(row * size, (row + 1) * size));
}

/** Token ids or a mask as int64. */
export function integers(numbers: readonly number[], dims: readonly number[]): Value {
  return { data: BigInt64Array.from(numbers, BigInt), dims };
}

function sameKind(like: Value["data"], bytes: Uint8Array, length: number): Value["data"] {
  if (like instanceof Float32Array) return new Float32Array(bytes.buffer, bytes.byteOffset, length);
  if (like instanceof Uint16Array) return new Uint16Array(bytes.buffer, bytes.byteOffset, length);
  if (like instanceof BigInt64Array)
    return new BigInt64Array(bytes.buffer, bytes.byteOffset, length);
  return bytes.subarray(0, length);
}
