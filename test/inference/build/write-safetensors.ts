import { writeFile } from "node:fs/promises";
import { toFloat16 } from "../../../inference/florence2/float16.ts";

export interface Stored {
  readonly dims: readonly number[];
  readonly values: Float32Array;
}

type Format = "F32" | "F16" | "BF16";

/** Writes a safetensors file. */
export async function writeSafeTensors(
  file: string,
  tensors: Readonly<Record<string, Stored>>,
  format: Format = "F32",
): Promise<void> {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const [name, { dims, values }] of Object.entries(tensors)) {
    const bytes = encoded(values, format);
    header[name] = { dtype: format, shape: dims, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
    parts.push(bytes);
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  await writeFile(file, Buffer.concat([length, json, ...parts]));
}

function encoded(values: Float32Array, format: Format): Uint8Array {
  if (format === "F32") return new Uint8Array(values.slice().buffer);
  if (format === "F16") return new Uint8Array(toFloat16(values).buffer);
  return new Uint8Array(
    Uint16Array.from(new Uint32Array(values.slice().buffer), (bits) => bits >>> 16).buffer,
  );
}
