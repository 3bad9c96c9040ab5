/**
 * A tensor of a checkpoint, read when its values are asked for: a large model never stands in
 * memory as a whole.
 */
export interface Tensor {
  readonly dims: readonly number[];
  /** Row-major; the caller may change them. */
  values(): Promise<Float32Array>;
}

/** [R, C] as [C, R]. */
export function transposed(tensor: Tensor): Tensor {
  const [rows = 0, columns = 0] = tensor.dims;
  return {
    dims: [columns, rows],
    async values() {
      const from = await tensor.values();
      const to = new Float32Array(from.length);
      for (let row = 0; row < rows; row += 1) {
        for (let column = 0; column < columns; column += 1)
          to[column * rows + row] = from[row * columns + column] ?? 0;
      }
      return to;
    },
  };
}

/** Vectors, or matrices of the same number of rows, side by side: along the last axis. */
export function beside(...tensors: readonly Tensor[]): Tensor {
  const rows = (tensors[0]?.dims ?? []).slice(0, -1);
  const widths = tensors.map(({ dims }) => dims.at(-1) ?? 0);
  const width = widths.reduce((sum, each) => sum + each, 0);
  const count = rows.reduce((product, size) => product * size, 1);
  return {
    dims: [...rows, width],
    async values() {
      const to = new Float32Array(count * width);
      let start = 0;
      for (const [i, tensor] of tensors.entries()) {
        const from = await tensor.values();
        const own = widths[i] ?? 0;
        for (let row = 0; row < count; row += 1)
          to.set(from.subarray(row * own, (row + 1) * own), row * width + start);
        start += own;
      }
      return to;
    },
  };
}

/** Part of a tensor along its first axis. */
export function rowsOf(tensor: Tensor, start: number, end: number): Tensor {
  const [, ...inner] = tensor.dims;
  const size = inner.reduce((product, each) => product * each, 1);
  return {
    dims: [end - start, ...inner],
    values: async () => (await tensor.values()).slice(start * size, end * size),
  };
}

/** The same values, changed in place by `change`, perhaps with other dims of the same count. */
export function changed(
  tensor: Tensor,
  change: (values: Float32Array) => void,
  dims = tensor.dims,
): Tensor {
  return {
    dims,
    async values() {
      const values = await tensor.values();
      change(values);
      return values;
    },
  };
}

export function scaled(tensor: Tensor, factor: number): Tensor {
  return changed(tensor, (values) => {
    for (let i = 0; i < values.length; i += 1) values[i] = (values[i] ?? 0) * factor;
  });
}
