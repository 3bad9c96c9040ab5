"""Writes the anchor's vision_encoder.onnx with tokens as (B, N, D) between the layers, as in the code that the public files were traced from.

    python3 vision.py --model CHECKPOINT --out vision_encoder.onnx

models/training keeps pictures as (B, D, H, W) there. That is the same computation, but ONNX Runtime then moves transposes across the norms and no
longer recognises them, and the anchor would be slower than the public files are.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models" / "training"))

from davit import VisionBlock  # noqa: E402
from folder import load_folder  # noqa: E402
from graphs import write_graph  # noqa: E402
from model import Florence2  # noqa: E402


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a checkpoint's folder")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    model, _ = load_folder(options.model)
    size = model.config.image_size
    vision, pixels = TokenVision(model), torch.randn(1, 3, size, size)
    difference = (vision(pixels) - model.see(pixels)).abs().max().item()
    if not difference < 1e-3:
        raise SystemExit(f"The rearranged vision tower gives other features: they differ by {difference}.")
    write_graph(vision, (pixels,), options.out, {"pixel_values": {0: "batch_size"}}, {"image_features": {0: "batch_size"}})


class TokenVision(nn.Module):
    def __init__(self, model: Florence2):
        super().__init__()
        self.tower, self.projector = model.model.vision_tower, model.model.multi_modal_projector

    def forward(self, pixel_values: Tensor) -> Tensor:
        x, (h, w) = pixel_values, pixel_values.shape[-2:]
        for conv, blocks in zip(self.tower.convs, self.tower.blocks):
            x = conv.conv(picture(conv.norm(x), h, w) if conv.prenorm else x)
            h, w = x.shape[-2:]
            x = tokens(x) if conv.prenorm else conv.norm(tokens(x))
            for pair in blocks:
                for block in (pair.spatial_block, pair.channel_block):
                    x = apply(block, x, h, w)
        return self.projector(picture(x, h, w))


def apply(block: VisionBlock, x: Tensor, h: int, w: int) -> Tensor:
    x = x + tokens(block.conv1(picture(x, h, w)))
    x = x + getattr(block, block.attention)(block.norm1(x), h, w)
    x = x + tokens(block.conv2(picture(x, h, w)))
    return x + block.ffn(block.norm2(x))


def picture(x: Tensor, h: int, w: int) -> Tensor:
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], h, w)


def tokens(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


if __name__ == "__main__":
    main()
