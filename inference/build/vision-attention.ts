import type { Name } from "./onnx/graph.ts";
import { beside, rowsOf, scaled, type Tensor, transposed } from "./tensor.ts";
import { type Grid, layerNorm, linear, type Site, takeLinear } from "./vision-layers.ts";

/**
 * x + attention of its norm within square windows of `size` cells; windows that reach over the edge
 * are filled with zeros.
 */
export function windowAttentionResidual(
  site: Site,
  x: Grid,
  { name, heads, size }: { name: string; heads: number; size: number },
): Grid {
  const { scope } = site;
  const { height, width, channels } = x;
  const { queries, keys, values, out } = takeAttention(site, `${name}.window_attn`, channels);
  const normed = layerNorm(site, x.value, { name: `${name}.norm1`, width: channels });
  const grid = { height: ceilTo(height, size), width: ceilTo(width, size), size, channels };
  const whole = grid.height === height && grid.width === width;
  const padded = whole
    ? normed
    : scope.op("Pad", [
        normed,
        scope.int64(0, 0, 0, 0, 0, grid.height - height, grid.width - width, 0),
      ]);
  const windows = toWindows(site, padded, grid);
  const parts = [queries, keys, values].map((part) => linear(site, windows, part));
  const attended = toGrid(
    site,
    scope.contrib("MultiHeadAttention", parts, { num_heads: heads }),
    grid,
  );
  const cut = whole
    ? attended
    : scope.op("Slice", [
        attended,
        scope.int64(0, 0),
        scope.int64(height, width),
        scope.int64(1, 2),
      ]);
  return { ...x, value: scope.op("Add", [x.value, linear(site, cut, out)]) };
}

type Windows = {
  readonly height: number;
  readonly width: number;
  readonly size: number;
  readonly channels: number;
};

/** [B, height, width, channels] as [B · windows, size · size, channels]. */
function toWindows({ scope }: Site, x: Name, { width, size, channels }: Windows): Name {
  const rows = scope.op("Reshape", [x, scope.int64(-1, size, width / size, size * channels)]);
  const turned = width === size ? rows : scope.op("Transpose", [rows], { perm: [0, 2, 1, 3] });
  return scope.op("Reshape", [turned, scope.int64(-1, size * size, channels)]);
}

function toGrid({ scope }: Site, windows: Name, { height, width, size, channels }: Windows): Name {
  const rows = scope.op("Reshape", [windows, scope.int64(-1, width / size, size, size * channels)]);
  const turned = width === size ? rows : scope.op("Transpose", [rows], { perm: [0, 2, 1, 3] });
  return scope.op("Reshape", [turned, scope.int64(-1, height, width, channels)]);
}

/** x + attention of its norm among the channels of each group, over all cells. */
export function channelAttentionResidual(
  site: Site,
  x: Grid,
  { name, groups }: { name: string; groups: number },
): Grid {
  const { scope, arithmetic } = site;
  const { height, width, channels } = x;
  const shape = { cells: height * width, channels, groups };
  const normed = layerNorm(site, x.value, { name: `${name}.norm1`, width: channels });
  const tokens = scope.op("Reshape", [normed, scope.int64(-1, shape.cells, channels)]);
  const attend = arithmetic.element === "float32" && savesWork(shape) ? byGram : byTokens;
  const attended = attend(site, tokens, {
    ...shape,
    ...takeAttention(site, `${name}.channel_attn`, channels),
  });
  const grid = scope.op("Reshape", [attended, scope.int64(-1, height, width, channels)]);
  return { ...x, value: scope.op("Add", [x.value, grid]) };
}

type Channels = { readonly cells: number; readonly channels: number; readonly groups: number };

/** Whether `byGram` takes fewer multiplications than `byTokens`. */
function savesWork({ cells: n, channels: c, groups }: Channels): boolean {
  return (
    2 * n * c ** 2 + 2 * c ** 3 + (2 * c ** 3) / groups < 4 * n * c ** 2 + (2 * n * c ** 2) / groups
  );
}

/** Queries, keys and values of every token. tokens [B, N, C] -> [B, N, C]. */
function byTokens(
  site: Site,
  tokens: Name,
  { cells, channels, groups, queries, keys, values, out }: Channels & Attention,
): Name {
  const { scope } = site;
  const [q = "", k = "", v = ""] = [queries, keys, values].map((part) => {
    const split = scope.op("Reshape", [
      linear(site, tokens, part),
      scope.int64(-1, cells, groups, channels / groups),
    ]);
    return scope.op("Transpose", [split], { perm: [0, 2, 1, 3] }); // [B, G, N, C/G]
  });
  const scores = scope.contrib("FusedMatMul", [q, k], {
    transA: 1,
    alpha: { float: cells ** -0.5 },
  });
  const attended = scope.contrib("FusedMatMul", [v, scope.op("Softmax", [scores], { axis: -1 })], {
    transB: 1,
  });
  const joined = scope.op("Reshape", [
    scope.op("Transpose", [attended], { perm: [0, 2, 1, 3] }),
    scope.int64(-1, cells, channels),
  ]);
  return linear(site, joined, out);
}

/**
 * The same without queries, keys and values, for many tokens of few channels: with X the tokens and
 * a column of ones, Qᵀ K = Wqᵀ (Xᵀ X) Wk and the result is X (Wv Aᵀ Wo), where the last row of a W
 * is its bias. The sums are too large for float16.
 */
function byGram(
  { scope, arithmetic }: Site,
  tokens: Name,
  { cells, channels, groups, queries, keys, values, out }: Channels & Attention,
): Name {
  const width = channels / groups;
  const constant = (tensor: Tensor) => arithmetic.weight(scope, tensor);
  const ones = scope.op("Pad", [tokens, scope.int64(0, 0, 0, 0, 0, 1), scope.float32([1], [])]); // [B, N, C+1]
  const gram = scope.contrib("FusedMatMul", [ones, ones], { transA: 1 }); // [B, C+1, C+1]
  const k = scope.op("MatMul", [gram, constant(transposed(withBias(keys)))]); // Xᵀ K [B, C+1, C]
  const byGroup = scope.op(
    "Transpose",
    [scope.op("Reshape", [k, scope.int64(-1, channels + 1, groups, width)])],
    { perm: [0, 2, 1, 3] },
  );
  const q = scaled(reshaped(withBias(queries), [groups, width, channels + 1]), cells ** -0.5);
  const weights = scope.op("Softmax", [scope.op("MatMul", [constant(q), byGroup])], { axis: -1 }); // A [B, G, C/G, C/G]
  const o = constant(reshaped(transposed(out.weight), [groups, width, channels]));
  const mixed = scope.op("Reshape", [
    scope.contrib("FusedMatMul", [weights, o], { transA: 1 }),
    scope.int64(-1, channels, channels),
  ]);
  const product = scope.op("MatMul", [constant(transposed(withBias(values))), mixed]); // [B, C+1, C]
  return scope.op("Add", [scope.op("MatMul", [ones, product]), constant(out.bias)]);
}

/** Weight [out, in] and bias as [out, in + 1]. */
function withBias({ weight, bias }: { weight: Tensor; bias: Tensor }): Tensor {
  return beside(weight, reshaped(bias, [...bias.dims, 1]));
}

function reshaped(tensor: Tensor, dims: readonly number[]): Tensor {
  return { dims, values: tensor.values };
}

interface Attention {
  readonly queries: { weight: Tensor; bias: Tensor };
  readonly keys: { weight: Tensor; bias: Tensor };
  readonly values: { weight: Tensor; bias: Tensor };
  readonly out: { weight: Tensor; bias: Tensor };
}

/** Queries, keys and values lie below each other in the checkpoint. */
function takeAttention(site: Site, name: string, width: number): Attention {
  const { weight, bias } = takeLinear(site, `${name}.qkv`, { from: width, to: 3 * width });
  const part = (i: number) => ({
    weight: rowsOf(weight, i * width, (i + 1) * width),
    bias: rowsOf(bias, i * width, (i + 1) * width),
  });
  return {
    queries: part(0),
    keys: part(1),
    values: part(2),
    out: takeLinear(site, `${name}.proj`, { from: width, to: width }),
  };
}

function ceilTo(length: number, multiple: number): number {
  return Math.ceil(length / multiple) * multiple;
}
