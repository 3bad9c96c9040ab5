import { describe, expect, test } from "vitest";
import { fromFloat16, toFloat16 } from "../../../inference/florence2/float16.ts";
import { gatherRows } from "../../../inference/florence2/values.ts";

const allocate = (bytes: number) => new ArrayBuffer(2 * bytes); // larger than asked for, as a buffer that is used again

describe("float16", () => {
  test("every half precision number survives the way to float32 and back", () => {
    const all = Uint16Array.from({ length: 65_536 }, (_, bits) => bits).filter(
      (bits) => (bits & 0x7c00) !== 0x7c00 || (bits & 0x3ff) === 0,
    );
    expect(toFloat16(fromFloat16(all))).toEqual(all);
  });

  test("numbers are those of IEEE 754, rounded to the nearest, ties to even", () => {
    expect(Array.from(fromFloat16(Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00)))).toEqual(
      [1, -2, 65_504, 2 ** -24, Number.POSITIVE_INFINITY],
    );
    const halfway = Float32Array.of(
      1 + 2 ** -11,
      1 + 3 * 2 ** -11,
      1 + 2 ** -11 + 2 ** -20,
      65_520,
      1e9,
      2 ** -25,
      3 * 2 ** -26,
      -1e-12,
    );
    expect(Array.from(toFloat16(halfway))).toEqual([
      0x3c00, 0x3c02, 0x3c01, 0x7c00, 0x7c00, 0x0000, 0x0001, 0x8000,
    ]);
    expect(fromFloat16(toFloat16(Float32Array.of(Number.NaN)))[0]).toBeNaN();
  });
});

describe("gatherRows", () => {
  const rows = () => ({ data: Float32Array.of(0, 1, 10, 11, 20, 21), dims: [3, 1, 2] });

  test("repeats and reorders rows", () => {
    const gathered = gatherRows(rows(), [2, 0, 0, 1], allocate);
    expect([...gathered.data]).toEqual([20, 21, 0, 1, 0, 1, 10, 11]);
    expect(gathered.dims).toEqual([4, 1, 2]);
  });

  test("drops rows in place", () => {
    const source = rows();
    const gathered = gatherRows(source, [0, 2], () => expect.unreachable());
    expect([...gathered.data]).toEqual([0, 1, 20, 21]);
    expect(gathered.data.buffer).toBe(source.data.buffer);
  });

  test("keeps the kind of numbers, and the place of a view in its buffer", () => {
    const halves = {
      data: new Uint16Array(Uint16Array.of(9, 1, 2, 3, 4).buffer, 2, 4),
      dims: [4, 1],
    };
    expect(gatherRows(halves, [3, 1, 1], allocate).data).toEqual(Uint16Array.of(4, 2, 2));
    expect(gatherRows(halves, [1, 3], allocate).data).toEqual(Uint16Array.of(2, 4));
    expect(
      gatherRows({ data: BigInt64Array.of(1n, 2n), dims: [2] }, [1, 0], allocate).data,
    ).toEqual(BigInt64Array.of(2n, 1n));
  });

  test("takes caches that are still empty", () => {
    expect(gatherRows({ data: new Float32Array(), dims: [1, 8, 0, 16] }, [0, 0], allocate)).toEqual(
      {
        data: new Float32Array(),
        dims: [2, 8, 0, 16],
      },
    );
  });
});
