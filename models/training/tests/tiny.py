"""The smallest model that has every part of Florence-2, and its tokenizer."""
from __future__ import annotations

import training_path  # noqa: F401
import torch

from bpe import tokenizer_json
from config import Config, TextConfig, VisionConfig
from model import Florence2
from tokens import Tokenizer

MERGES = [("c", "a"), ("ca", "t"), ("Ġ", "i"), ("Ġi", "n")]
TOKENIZER = tokenizer_json(MERGES)


def tiny_model(seed: int) -> tuple[Florence2, Tokenizer]:
    torch.manual_seed(seed)
    tokenizer = Tokenizer(TOKENIZER)
    vision = VisionConfig(embed_dim=[8, 16], depths=[1, 1], num_heads=[2, 2], num_groups=[2, 2], patch_size=[7, 3], patch_stride=[4, 2],
                          patch_padding=[3, 1], patch_prenorm=[False, True], window_size=3, projection_dim=16)
    text = TextConfig(vocab_size=tokenizer.size, d_model=16, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2,
                      decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=64)
    return Florence2(Config(vision, text, image_size=32)).eval(), tokenizer
