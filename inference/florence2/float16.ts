/**
 * float32 numbers as float16 bits, rounded to the nearest, ties to even; what is too large becomes
 * infinite.
 */
export function toFloat16(numbers: Float32Array): Uint16Array {
  const bits = new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length);
  const out = new Uint16Array(numbers.length);
  for (let i = 0; i < bits.length; i += 1) out[i] = narrow(bits[i] ?? 0);
  return out;
}

/** float16 bits as float32 numbers; exact. */
export function fromFloat16(halves: Uint16Array): Float32Array {
  const out = new Float32Array(halves.length);
  const bits = new Uint32Array(out.buffer);
  for (let i = 0; i < halves.length; i += 1) bits[i] = widen(halves[i] ?? 0);
  return out;
}

function widen(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13);
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  const shift = Math.clz32(fraction) - 21; // moves a subnormal's leading one to the implicit place
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}

function narrow(single: number): number {
  const sign = (single >>> 16) & 0x8000;
  const exponent = ((single >>> 23) & 0xff) - 112;
  const fraction = single & 0x7fffff;
  if (exponent === 143) return sign | 0x7c00 | (fraction ? 0x200 : 0);
  if (exponent < -10) return sign;
  if (exponent >= 31) return sign | 0x7c00;
  const shift = exponent > 0 ? 13 : 14 - exponent;
  const whole = exponent > 0 ? (exponent << 23) | fraction : fraction | 0x800000;
  const kept = whole >>> shift;
  const rest = whole & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  const roundUp = rest > half || (rest === half && (kept & 1) === 1);
  return sign | (roundUp ? kept + 1 : kept); // a carry runs on into the exponent, as it should
}
