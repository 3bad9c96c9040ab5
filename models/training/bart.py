"""BART, Florence-2's language model: learned positions with offset 2, post-LayerNorm, GELU, tied output.

Names of modules follow the transformers-native checkpoints. D is the width, H the heads, T and S lengths.
"""
from __future__ import annotations

from typing import NamedTuple, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from config import TextConfig

MASKED = -1e9


class Cache(NamedTuple):
    """A decoder layer's keys and values (B, H, T, D/H): of the answer so far, and of the encoder's states."""
    key: Tensor
    value: Tensor
    memory_key: Tensor
    memory_value: Tensor


class LanguageModel(nn.Module):
    def __init__(self, c: TextConfig):
        super().__init__()
        self.shared = nn.Embedding(c.vocab_size, c.d_model)
        self.encoder = Encoder(c, self.shared)
        self.decoder = Decoder(c, self.shared)


class Stack(nn.Module):
    """What encoder and decoder have in common."""

    def __init__(self, c: TextConfig, shared: nn.Embedding, layers: list[nn.Module]):
        super().__init__()
        self.embed_tokens = shared
        self.embed_positions = nn.Embedding(c.max_position_embeddings + 2, c.d_model)
        self.layernorm_embedding = nn.LayerNorm(c.d_model)
        self.layers = nn.ModuleList(layers)

    def embed(self, x: Tensor, start: int) -> Tensor:
        """Adds positions `start`, start + 1, ... to (B, T, D)."""
        return self.layernorm_embedding(x + self.embed_positions.weight[2 + start:2 + start + x.shape[1]])


class Encoder(Stack):
    def __init__(self, c: TextConfig, shared: nn.Embedding):
        super().__init__(c, shared, [EncoderLayer(c) for _ in range(c.encoder_layers)])

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """x (B, S, D), seen (B, S) bool -> (B, S, D)."""
        x = self.embed(x, 0)
        bias = mask_bias(seen[:, None, None])
        for layer in self.layers:
            x = layer(x, bias)
        return x


class Decoder(Stack):
    def __init__(self, c: TextConfig, shared: nn.Embedding):
        super().__init__(c, shared, [DecoderLayer(c) for _ in range(c.decoder_layers)])

    def forward(self, x: Tensor, memory: Tensor, seen: Tensor, past: Sequence[Cache] = ()) -> tuple[Tensor, list[Cache]]:
        """Embeddings x (B, T, D), memory (B, S, D), seen (B, S) bool, caches of the tokens before -> logits (B, T, V), caches.

        With a past, T is 1: the newest token may look at everything before it."""
        x = self.embed(x, past[0].key.shape[2] if past else 0)
        memory_bias = mask_bias(seen[:, None, None])
        causal = None if past else mask_bias(torch.ones(x.shape[1], x.shape[1], device=x.device).tril() > 0)
        caches = []
        for i, layer in enumerate(self.layers):
            x, cache = layer(x, causal, memory, memory_bias, past[i] if past else None)
            caches.append(cache)
        return x @ self.embed_tokens.weight.t(), caches


class EncoderLayer(nn.Module):
    def __init__(self, c: TextConfig):
        super().__init__()
        self.self_attn = Attention(c.d_model, c.encoder_attention_heads)
        self.self_attn_layer_norm = nn.LayerNorm(c.d_model)
        self.fc1, self.fc2 = nn.Linear(c.d_model, c.encoder_ffn_dim), nn.Linear(c.encoder_ffn_dim, c.d_model)
        self.final_layer_norm = nn.LayerNorm(c.d_model)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        x = self.self_attn_layer_norm(x + self.self_attn(x, *self.self_attn.keys_values(x), bias))
        return self.final_layer_norm(x + self.fc2(F.gelu(self.fc1(x))))


class DecoderLayer(nn.Module):
    def __init__(self, c: TextConfig):
        super().__init__()
        self.self_attn = Attention(c.d_model, c.decoder_attention_heads)
        self.self_attn_layer_norm = nn.LayerNorm(c.d_model)
        self.encoder_attn = Attention(c.d_model, c.decoder_attention_heads)
        self.encoder_attn_layer_norm = nn.LayerNorm(c.d_model)
        self.fc1, self.fc2 = nn.Linear(c.d_model, c.decoder_ffn_dim), nn.Linear(c.decoder_ffn_dim, c.d_model)
        self.final_layer_norm = nn.LayerNorm(c.d_model)

    def forward(self, x: Tensor, causal: Tensor | None, memory: Tensor, memory_bias: Tensor, past: Cache | None) -> tuple[Tensor, Cache]:
        key, value = self.self_attn.keys_values(x)
        if past is not None:
            key, value = torch.cat([past.key, key], 2), torch.cat([past.value, value], 2)
            memory_key, memory_value = past.memory_key, past.memory_value
        else:
            memory_key, memory_value = self.encoder_attn.keys_values(memory)
        x = self.self_attn_layer_norm(x + self.self_attn(x, key, value, causal))
        x = self.encoder_attn_layer_norm(x + self.encoder_attn(x, memory_key, memory_value, memory_bias))
        x = self.final_layer_norm(x + self.fc2(F.gelu(self.fc1(x))))
        return x, Cache(key, value, memory_key, memory_value)


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(dim, dim) for _ in range(4))

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """(B, S, D) -> keys and values, (B, H, S, D/H) each."""
        return self._split(self.k_proj(memory)), self._split(self.v_proj(memory))

    def forward(self, x: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        """x (B, T, D); bias broadcastable to (B, H, T, S), very negative where a key must not be seen."""
        q = self._split(self.q_proj(x) * (x.shape[-1] // self.heads) ** -0.5)
        a = q @ key.transpose(-2, -1)
        if bias is not None:
            a += bias
        return self.out_proj((a.softmax(-1) @ value).transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        b, n, d = x.shape
        return x.view(b, n, self.heads, d // self.heads).transpose(1, 2)


def mask_bias(seen: Tensor) -> Tensor:
    """0 where a key may be seen, very negative elsewhere."""
    return torch.zeros(seen.shape, device=seen.device).masked_fill(~seen, MASKED)
