import type { Checkpoint } from "./checkpoint.ts";
import type { Name, Scope } from "./onnx/graph.ts";
import type { Arithmetic } from "./precision.ts";
import type { StageShape } from "./shape.ts";
import { changed, type Tensor, transposed } from "./tensor.ts";

/** Where layers are added, with what numbers, from which weights. */
export interface Site {
  readonly scope: Scope;
  readonly arithmetic: Arithmetic;
  readonly checkpoint: Checkpoint;
}

/** What the cells of a picture's grid hold: [B, height, width, channels]. */
export interface Grid {
  readonly value: Name;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

/** A linear layer's weight [to, from] and bias [to] as the checkpoint has them. */
export function takeLinear(
  { checkpoint }: Site,
  name: string,
  { from, to }: { from: number; to: number },
): { weight: Tensor; bias: Tensor } {
  return {
    weight: checkpoint.take(`${name}.weight`, [to, from]),
    bias: checkpoint.take(`${name}.bias`, [to]),
  };
}

export function linear(
  { scope, arithmetic }: Site,
  x: Name,
  { weight, bias }: { weight: Tensor; bias: Tensor | null },
): Name {
  return arithmetic.linear(scope, x, { weight: transposed(weight), bias });
}

/** Over the last axis, which is `width` wide. */
export function layerNorm(
  { scope, arithmetic, checkpoint }: Site,
  x: Name,
  { name, width }: { name: string; width: number },
): Name {
  const [scale, shift] = ["weight", "bias"].map((part) =>
    arithmetic.weight(scope, checkpoint.take(`${name}.${part}`, [width])),
  );
  return scope.op("LayerNormalization", [x, scale ?? "", shift ?? ""], {
    axis: -1,
    epsilon: { float: 1e-5 },
  });
}

/** A stage's patch convolution: fewer cells, more channels. */
export function patchConvolution(
  site: Site,
  x: Grid,
  { name, stage }: { name: string; stage: StageShape },
): Grid {
  const { size, stride, padding } = stage.patch;
  const cells = (length: number) => Math.floor((length + 2 * padding - size) / stride) + 1;
  const weight = site.checkpoint.take(`${name}.weight`, [stage.width, x.channels, size, size]);
  const value = convolution(site, x.value, {
    weight,
    bias: site.checkpoint.take(`${name}.bias`, [stage.width]),
    attributes: {
      kernel_shape: [size, size],
      strides: [stride, stride],
      pads: [padding, padding, padding, padding],
    },
  });
  return { value, height: cells(x.height), width: cells(x.width), channels: stage.width };
}

/** x + a 3×3 convolution of each channel. In float32 the kernel's centre, one larger, adds x. */
export function depthwiseResidual(site: Site, x: Grid, name: string): Grid {
  const { channels } = x;
  const folded = site.arithmetic.element === "float32";
  const weight = site.checkpoint.take(`${name}.weight`, [channels, 1, 3, 3]);
  const out = convolution(site, x.value, {
    weight: folded ? changed(weight, addToCentres) : weight,
    bias: site.checkpoint.take(`${name}.bias`, [channels]),
    attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1], group: channels },
  });
  return { ...x, value: folded ? out : site.scope.op("Add", [x.value, out]) };
}

function addToCentres(kernels: Float32Array): void {
  for (let centre = 4; centre < kernels.length; centre += 9)
    kernels[centre] = (kernels[centre] ?? 0) + 1;
}

/** ONNX convolves [B, channels, height, width]. */
function convolution(
  { scope, arithmetic }: Site,
  x: Name,
  {
    weight,
    bias,
    attributes,
  }: {
    weight: Tensor;
    bias: Tensor;
    attributes: Readonly<Record<string, number | readonly number[]>>;
  },
): Name {
  const channelsFirst = scope.op("Transpose", [x], { perm: [0, 3, 1, 2] });
  const out = scope.op(
    "Conv",
    [channelsFirst, arithmetic.weight(scope, weight), arithmetic.weight(scope, bias)],
    attributes,
  );
  return scope.op("Transpose", [out], { perm: [0, 2, 3, 1] });
}

/** x + the MLP of its norm. */
export function mlpResidual(
  site: Site,
  x: Grid,
  { name, ratio }: { name: string; ratio: number },
): Grid {
  const { scope } = site;
  const middle = Math.trunc(x.channels * ratio);
  const first = takeLinear(site, `${name}.ffn.fc1`, { from: x.channels, to: middle });
  const second = takeLinear(site, `${name}.ffn.fc2`, { from: middle, to: x.channels });
  const normed = layerNorm(site, x.value, { name: `${name}.norm2`, width: x.channels });
  const active = scope.contrib("Gelu", [linear(site, normed, first)]); // erf, not an approximation; BiasGelu takes five times as long
  return { ...x, value: scope.op("Add", [x.value, linear(site, active, second)]) };
}
