import type { Checkpoint } from "./checkpoint.ts";
import { buildGraph, type Graph, type Name } from "./onnx/graph.ts";
import type { Arithmetic } from "./precision.ts";
import type { StageShape, VisionShape } from "./shape.ts";
import { rowsOf, type Tensor, transposed } from "./tensor.ts";
import { channelAttentionResidual, windowAttentionResidual } from "./vision-attention.ts";
import {
  depthwiseResidual,
  type Grid,
  layerNorm,
  mlpResidual,
  patchConvolution,
  type Site,
} from "./vision-layers.ts";

const tower = "model.vision_tower";
const projector = "model.multi_modal_projector";

/**
 * DaViT and the projector: pixel_values f32 [B, 3, height, width] -> image_features f32 [B, 1 + N,
 * projection], the mean of the N cells in front. B is free, the picture's size is the shape's.
 */
export function visionGraph(
  shape: VisionShape,
  checkpoint: Checkpoint,
  arithmetic: Arithmetic,
): Graph {
  const graph = buildGraph();
  const site: Site = { scope: graph, arithmetic, checkpoint };
  const { height, width } = shape.image;
  const pixels = graph.input("pixel_values", {
    element: "float32",
    dims: ["batch", 3, height, width],
  });
  const input = graph.op(
    "Transpose",
    [arithmetic.cast(graph, pixels, "float32", arithmetic.element)],
    { perm: [0, 2, 3, 1] },
  );
  let grid: Grid = { value: input, height, width, channels: 3 };
  for (const [i, stage] of shape.stages.entries()) {
    grid = patches(site, grid, { name: `${tower}.convs.${i}`, stage });
    for (let pair = 0; pair < stage.depth; pair += 1)
      grid = blockPair(site, grid, { name: `${tower}.blocks.${i}.${pair}`, stage, shape });
  }
  const features = arithmetic.cast(
    graph,
    project(site, grid, shape),
    arithmetic.element,
    "float32",
  );
  graph.output("image_features", features, {
    element: "float32",
    dims: ["batch", 1 + grid.height * grid.width, shape.projection],
  });
  return graph.done();
}

function patches(site: Site, x: Grid, { name, stage }: { name: string; stage: StageShape }): Grid {
  const { normFirst } = stage.patch;
  const norm = (grid: Grid) => ({
    ...grid,
    value: layerNorm(site, grid.value, { name: `${name}.norm`, width: grid.channels }),
  });
  const convolve = (grid: Grid) => patchConvolution(site, grid, { name: `${name}.conv`, stage });
  return normFirst ? convolve(norm(x)) : norm(convolve(x));
}

/**
 * Attention among a window's cells, then among channels, each between a depthwise convolution and a
 * convolution with an MLP.
 */
function blockPair(
  site: Site,
  x: Grid,
  { name, stage, shape }: { name: string; stage: StageShape; shape: VisionShape },
): Grid {
  const around = (inner: string, grid: Grid, attend: (grid: Grid, name: string) => Grid) => {
    const attended = attend(
      depthwiseResidual(site, grid, `${name}.${inner}.conv1`),
      `${name}.${inner}`,
    );
    const mixed = depthwiseResidual(site, attended, `${name}.${inner}.conv2`);
    return mlpResidual(site, mixed, { name: `${name}.${inner}`, ratio: shape.mlpRatio });
  };
  const spatial = around("spatial_block", x, (grid, name) =>
    windowAttentionResidual(site, grid, { name, heads: stage.heads, size: shape.window }),
  );
  return around("channel_block", spatial, (grid, name) =>
    channelAttentionResidual(site, grid, { name, groups: stage.groups }),
  );
}

/**
 * To tokens of the language model's width. One matrix on numbers that no norm has evened out: it is
 * never quantised.
 */
function project(
  { scope, arithmetic, checkpoint }: Site,
  grid: Grid,
  { positionsMax, projection, framesMax }: VisionShape,
): Name {
  const { channels } = grid;
  const cells = grid.height * grid.width;
  const half = Math.floor(channels / 2);
  const positions = positionsOf(grid, {
    rows: checkpoint.take(`${projector}.image_position_embed.row_embeddings.weight`, [
      positionsMax,
      half,
    ]),
    columns: checkpoint.take(`${projector}.image_position_embed.column_embeddings.weight`, [
      positionsMax,
      channels - half,
    ]),
    frame: rowsOf(
      checkpoint.take(`${projector}.visual_temporal_embed.pos_idx_to_embed`, [framesMax, channels]),
      0,
      1,
    ),
  });
  const tokens = scope.op("Reshape", [grid.value, scope.int64(-1, cells, channels)]);
  const placed = scope.op("Add", [tokens, arithmetic.weight(scope, positions)]);
  const mean = scope.op("ReduceMean", [placed], { axes: [1], keepdims: 1 });
  const weight = transposed(
    checkpoint.take(`${projector}.image_projection.weight`, [projection, channels]),
  );
  const projected = scope.op("MatMul", [
    scope.op("Concat", [mean, placed], { axis: 1 }),
    arithmetic.weight(scope, weight),
  ]);
  return layerNorm({ scope, arithmetic, checkpoint }, projected, {
    name: `${projector}.image_proj_norm`,
    width: projection,
  });
}

/**
 * [cells, channels]: the column's embedding in the first half of the channels, the row's in the
 * second, and frame 0's added.
 */
function positionsOf(
  { height, width, channels }: Grid,
  embeddings: { rows: Tensor; columns: Tensor; frame: Tensor },
): Tensor {
  return {
    dims: [height * width, channels],
    async values() {
      const [rows, columns, frame] = [
        await embeddings.rows.values(),
        await embeddings.columns.values(),
        await embeddings.frame.values(),
      ];
      const [rowWidth = 0, columnWidth = 0] = [embeddings.rows.dims[1], embeddings.columns.dims[1]];
      return Float32Array.from({ length: height * width * channels }, (_, i) => {
        const channel = i % channels;
        const cell = Math.floor(i / channels);
        const [row, column] = [Math.floor(cell / width), cell % width];
        const position =
          channel < columnWidth
            ? columns[column * columnWidth + channel]
            : rows[row * rowWidth + channel - columnWidth];
        return (position ?? 0) + (frame[channel] ?? 0);
      });
    },
  };
}
