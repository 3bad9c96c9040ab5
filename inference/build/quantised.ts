/** How many numbers of a column share a scale in 4 bits. */
export const blockSize = 32;

/**
 * A matrix [R, columns] in int8, symmetric, with a scale for each column: value · scale ≈ number.
 */
export function quantisedColumns(
  numbers: Float32Array,
  columns: number,
): { values: Int8Array; scales: Float32Array } {
  const scales = new Float32Array(columns);
  for (let i = 0; i < numbers.length; i += columns) {
    for (let column = 0; column < columns; column += 1) {
      scales[column] = Math.max(scales[column] ?? 0, Math.abs(numbers[i + column] ?? 0));
    }
  }
  for (let column = 0; column < columns; column += 1)
    scales[column] = (scales[column] || 127) / 127;
  const values = new Int8Array(numbers.length);
  for (let i = 0; i < numbers.length; i += columns) {
    for (let column = 0; column < columns; column += 1) {
      values[i + column] = Math.round((numbers[i + column] ?? 0) / (scales[column] ?? 1));
    }
  }
  return { values, scales };
}

/**
 * A matrix [R, columns], R a multiple of `blockSize`, in 4 bits as MatMulNBits reads them: values
 * [columns, R / 32, 16], two in a byte, the earlier one low; scales [columns, R / 32]; (value - 8)
 * · scale ≈ number. A block's furthest number from zero becomes 0, that is -8: its scale then has
 * the opposite sign, and all of the sixteen steps are used.
 */
export function quantisedBlocks(
  numbers: Float32Array,
  columns: number,
): { values: Uint8Array; scales: Float32Array } {
  const blocks = numbers.length / columns / blockSize;
  const values = new Uint8Array(numbers.length / 2);
  const scales = new Float32Array(columns * blocks);
  const furthest = new Float32Array(columns);
  for (let block = 0; block < blocks; block += 1) {
    const start = block * blockSize * columns;
    furthest.fill(0);
    for (let i = start; i < start + blockSize * columns; i += columns) {
      for (let column = 0; column < columns; column += 1) {
        const number = numbers[i + column] ?? 0;
        if (Math.abs(number) > Math.abs(furthest[column] ?? 0)) furthest[column] = number;
      }
    }
    for (let column = 0; column < columns; column += 1)
      scales[column * blocks + block] = (furthest[column] || -8) / -8;
    for (let row = 0; row < blockSize; row += 1) {
      for (let column = 0; column < columns; column += 1) {
        const at = column * blocks + block;
        const step =
          Math.round((numbers[start + row * columns + column] ?? 0) / (scales[at] ?? 1)) + 8;
        const byte = at * (blockSize / 2) + (row >> 1);
        values[byte] = (values[byte] ?? 0) | (Math.min(step, 15) << (4 * (row & 1)));
      }
    }
  }
  return { values, scales };
}
