"""DaViT, Florence-2's vision tower: stages of convolution, windowed attention and attention among channels.

Names of modules follow the transformers-native checkpoints. D is a stage's width.
"""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from config import VisionConfig


class VisionTower(nn.Module):
    def __init__(self, c: VisionConfig):
        super().__init__()
        stages = range(len(c.embed_dim))
        self.convs = nn.ModuleList(ConvEmbed(c, i) for i in stages)
        self.blocks = nn.ModuleList(nn.ModuleList(BlockPair(c, i) for _ in range(c.depths[i])) for i in stages)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, D, h, w) of the last stage."""
        for conv, blocks in zip(self.convs, self.blocks):
            x = conv(x)
            for block in blocks:
                x = block(x)
        return x


class ConvEmbed(nn.Module):
    """A stage's patch convolution; its norm comes before it where the stage is `prenorm`."""

    def __init__(self, c: VisionConfig, i: int):
        super().__init__()
        dim_in = 3 if i == 0 else c.embed_dim[i - 1]
        self.prenorm = c.patch_prenorm[i]
        self.conv = nn.Conv2d(dim_in, c.embed_dim[i], c.patch_size[i], c.patch_stride[i], c.patch_padding[i])
        self.norm = nn.LayerNorm(dim_in if self.prenorm else c.embed_dim[i])

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self._normed(x)) if self.prenorm else self._normed(self.conv(x))

    def _normed(self, x: Tensor) -> Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class BlockPair(nn.Module):
    def __init__(self, c: VisionConfig, i: int):
        super().__init__()
        self.spatial_block = VisionBlock(c, i, "window_attn")
        self.channel_block = VisionBlock(c, i, "channel_attn")

    def forward(self, x: Tensor) -> Tensor:
        return self.channel_block(self.spatial_block(x))


class VisionBlock(nn.Module):
    """Depthwise convolution, attention, depthwise convolution, MLP, each added to its input."""

    def __init__(self, c: VisionConfig, i: int, attention: str):
        super().__init__()
        d = c.embed_dim[i]
        self.attention = attention
        self.conv1 = nn.Conv2d(d, d, 3, padding=1, groups=d)
        self.norm1 = nn.LayerNorm(d)
        self.add_module(attention, {"window_attn": WindowAttention, "channel_attn": ChannelAttention}[attention](c, i))
        self.conv2 = nn.Conv2d(d, d, 3, padding=1, groups=d)
        self.norm2 = nn.LayerNorm(d)
        self.ffn = MLP(d, c.mlp_ratio)

    def forward(self, x: Tensor) -> Tensor:
        b, d, h, w = x.shape
        x = (self.conv1(x) + x).flatten(2).transpose(1, 2)  # (B, h*w, D)
        x = x + getattr(self, self.attention)(self.norm1(x), h, w)
        x = x.transpose(1, 2).reshape(b, d, h, w)
        x = (self.conv2(x) + x).flatten(2).transpose(1, 2)
        x = x + self.ffn(self.norm2(x))
        return x.transpose(1, 2).reshape(b, d, h, w)


class WindowAttention(nn.Module):
    """Attention among the cells of each window; the grid is padded with zeros to whole windows."""

    def __init__(self, c: VisionConfig, i: int):
        super().__init__()
        self.heads, self.window = c.num_heads[i], c.window_size
        self.qkv = nn.Linear(c.embed_dim[i], c.embed_dim[i] * 3)
        self.proj = nn.Linear(c.embed_dim[i], c.embed_dim[i])

    def forward(self, x: Tensor, h: int, w: int) -> Tensor:
        b, _, d = x.shape
        s = self.window
        x = F.pad(x.view(b, h, w, d), (0, 0, 0, -w % s, 0, -h % s))
        hh, ww = h + -h % s, w + -w % s
        x = x.view(b, hh // s, s, ww // s, s, d).permute(0, 1, 3, 2, 4, 5).reshape(-1, s * s, d)
        q, k, v = self.qkv(x).view(-1, s * s, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).unbind()
        a = (q @ k.transpose(-2, -1) * (d // self.heads) ** -0.5).softmax(-1)
        x = self.proj((a @ v).transpose(1, 2).reshape(-1, s * s, d))
        x = x.view(b, hh // s, ww // s, s, s, d).permute(0, 1, 3, 2, 4, 5).reshape(b, hh, ww, d)
        return x[:, :h, :w].reshape(b, h * w, d)


class ChannelAttention(nn.Module):
    """Attention among the channels of each group, over all cells."""

    def __init__(self, c: VisionConfig, i: int):
        super().__init__()
        self.groups = c.num_groups[i]
        self.qkv = nn.Linear(c.embed_dim[i], c.embed_dim[i] * 3)
        self.proj = nn.Linear(c.embed_dim[i], c.embed_dim[i])

    def forward(self, x: Tensor, h: int, w: int) -> Tensor:
        b, n, d = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.groups, d // self.groups).permute(2, 0, 3, 4, 1).unbind()
        a = (q @ k.transpose(-2, -1) * n ** -0.5).softmax(-1)
        return self.proj((a @ v).permute(0, 3, 1, 2).reshape(b, n, d))


class MLP(nn.Module):
    def __init__(self, dim: int, ratio: float):
        super().__init__()
        self.fc1 = nn.Linear(dim, int(dim * ratio))
        self.fc2 = nn.Linear(int(dim * ratio), dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))
