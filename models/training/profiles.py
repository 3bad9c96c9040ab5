"""The two sizes of model that are trained from scratch."""
from __future__ import annotations

import math
from dataclasses import dataclass

from config import Config, TextConfig, VisionConfig

POSITIONS_MAX = 512


@dataclass(frozen=True)
class Profile:
    image_size: int
    widths: list[int]  # of the vision tower's stages
    depths: list[int]
    patch: list[int]
    stride: list[int]
    padding: list[int]
    vision_heads: list[int]
    window: int
    width: int  # of the language model
    layers: int
    heads: int
    batch: int  # questions a step and process
    learning_rate: float

    @property
    def grid(self) -> int:
        """Cells on a side of the vision tower's output."""
        return self.image_size // math.prod(self.stride)

    def config(self, vocab_size: int) -> Config:
        stages = len(self.widths)
        vision = VisionConfig(
            embed_dim=self.widths, depths=self.depths, num_heads=self.vision_heads, num_groups=self.vision_heads, patch_size=self.patch,
            patch_stride=self.stride, patch_padding=self.padding, patch_prenorm=[False] + [True] * (stages - 1),
            window_size=self.window, projection_dim=self.width)
        text = TextConfig(
            vocab_size=vocab_size, d_model=self.width, encoder_layers=self.layers, decoder_layers=self.layers,
            encoder_attention_heads=self.heads, decoder_attention_heads=self.heads, encoder_ffn_dim=4 * self.width,
            decoder_ffn_dim=4 * self.width, max_position_embeddings=POSITIONS_MAX)
        return Config(vision, text, self.image_size)


PROFILES = {
    "cpu": Profile(image_size=128, widths=[48, 128], depths=[1, 2], patch=[11, 3], stride=[8, 2], padding=[4, 1], vision_heads=[3, 8],
                   window=8, width=128, layers=2, heads=8, batch=48, learning_rate=1e-3),
    "gpu": Profile(image_size=256, widths=[64, 128, 256], depths=[1, 1, 3], patch=[7, 3, 3], stride=[4, 2, 2], padding=[3, 1, 1],
                   vision_heads=[2, 4, 8], window=8, width=256, layers=3, heads=8, batch=256, learning_rate=8e-4),
}
