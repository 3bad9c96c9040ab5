"""Florence-2 in PyTorch: DaViT vision tower, projector, BART.

Names and shapes follow the checkpoints of transformers' Florence2ForConditionalGeneration: a state dict saved from here
loads there, and the other way round.
"""
from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bart import LanguageModel
from config import END, PAD, Config, VisionConfig
from davit import VisionTower


class Florence2(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.model = Parts(config)
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                # BART's 0.02 leaves attention flat at a small width: the picture is then ignored for hours.
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def see(self, pixels: Tensor) -> Tensor:
        """pixels (B, 3, H, W) -> image features (B, 1 + h*w, D)."""
        return self.model.multi_modal_projector(self.model.vision_tower(pixels))

    def encode(self, features: Tensor, prompt: Tensor) -> tuple[Tensor, Tensor]:
        """Image features (B, N, D), prompt ids (B, T) padded with <pad> -> memory (B, N+T, D), seen (B, N+T) bool."""
        language = self.model.language_model
        seen = torch.cat([prompt.new_ones(features.shape[:2]).bool(), prompt != PAD], 1)
        return language.encoder(torch.cat([features, language.shared(prompt)], 1), seen), seen

    def decode(self, ids: Tensor, memory: Tensor, seen: Tensor) -> Tensor:
        """Decoder input ids (B, T) -> logits (B, T, V)."""
        language = self.model.language_model
        return language.decoder(language.shared(ids), memory, seen)[0]


def shift_right(answer: Tensor) -> Tensor:
    """The decoder's input for an answer's ids (B, T): everything one later, after the start token </s>."""
    return torch.cat([torch.full_like(answer[:, :1], END), answer[:, :-1]], 1)


class Parts(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.vision_tower = VisionTower(config.vision)
        self.multi_modal_projector = Projector(config.vision)
        self.language_model = LanguageModel(config.text)


class Projector(nn.Module):
    """From the tower's grid to tokens of the language model's width, their mean in front."""

    def __init__(self, c: VisionConfig):
        super().__init__()
        d = c.embed_dim[-1]
        self.image_projection = nn.Linear(d, c.projection_dim, bias=False)
        self.image_proj_norm = nn.LayerNorm(c.projection_dim)
        self.image_position_embed = PositionEmbedding2D(c.max_position_embeddings, d)
        self.visual_temporal_embed = TemporalEmbedding(c.max_temporal_embeddings, d)

    def forward(self, x: Tensor) -> Tensor:
        x = (x + self.image_position_embed(*x.shape[-2:])).flatten(2).transpose(1, 2)
        x = x + self.visual_temporal_embed.pos_idx_to_embed[:1]
        x = torch.cat([x.mean(1, keepdim=True), x], 1)
        return self.image_proj_norm(self.image_projection(x))


class PositionEmbedding2D(nn.Module):
    """Columns in the first half of the channels, rows in the second."""

    def __init__(self, positions: int, dim: int):
        super().__init__()
        self.row_embeddings = nn.Embedding(positions, dim // 2)
        self.column_embeddings = nn.Embedding(positions, dim - dim // 2)

    def forward(self, h: int, w: int) -> Tensor:
        x, y = self.column_embeddings.weight[:w], self.row_embeddings.weight[:h]
        return torch.cat([x[None].expand(h, -1, -1), y[:, None].expand(-1, w, -1)], -1).permute(2, 0, 1)[None]


class TemporalEmbedding(nn.Module):
    """A sinusoid for each frame of a video; a picture is frame 0."""

    def __init__(self, length: int, dim: int):
        super().__init__()
        half = dim // 2
        frequency = torch.exp(torch.arange(half) * -(math.log(10000) / half))
        angle = torch.arange(length).float()[:, None] * frequency
        table = torch.empty(length, dim)
        table[:, 0::2], table[:, 1::2] = angle.sin(), angle.cos()
        self.register_buffer("pos_idx_to_embed", table)
