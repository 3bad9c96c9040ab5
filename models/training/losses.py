"""The loss of an answer, and the start that location tokens need to learn fast."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from config import PAD
from locations import BINS
from model import Florence2


def answer_loss(logits: Tensor, answer: Tensor) -> Tensor:
    """Mean cross-entropy of an answer's ids (B, T) under logits (B, T, V)."""
    return F.cross_entropy(logits.float().flatten(0, 1), answer.flatten(), ignore_index=PAD)


def smoothed_answer_loss(logits: Tensor, answer: Tensor, first_location: int, targets: Tensor) -> Tensor:
    """As answer_loss, but a location's target is spread over its neighbours, which are nearly as right: `targets` of
    smooth_locations. The spread's own entropy is taken off, so that a perfect answer costs nothing."""
    kept = answer != PAD
    logits, answer = logits[kept].float(), answer[kept]
    log_probability = logits.log_softmax(-1)
    located = (answer >= first_location) & (answer < first_location + BINS)
    hard = -log_probability[~located].gather(1, answer[~located][:, None]).sum()
    rows = targets[answer[located] - first_location]
    near = -(rows * log_probability[located][:, first_location:first_location + BINS]).sum() + (rows * (rows + 1e-9).log()).sum()
    return (hard + near) / answer.numel()


def smooth_locations(spread: float, device: str) -> Tensor:
    """(1000, 1000): for each bin a Gaussian over all bins, `spread` bins wide."""
    i = torch.arange(BINS, device=device).float()
    weight = torch.exp(-0.5 * ((i[:, None] - i[None]) / spread) ** 2)
    return weight / weight.sum(1, keepdim=True)


@torch.no_grad()
def order_locations(model: Florence2, first_location: int) -> None:
    """Gives neighbouring location tokens neighbouring embeddings."""
    width = model.config.text.d_model
    i = torch.arange(BINS).float()[:, None] / BINS
    frequency = torch.exp(torch.linspace(math.log(0.5), math.log(60), width // 2))[None] * 2 * math.pi
    wave = torch.cat([(i * frequency).sin(), (i * frequency).cos()], 1) * 0.03
    embedding = model.model.language_model.shared.weight
    embedding[first_location:first_location + BINS] = wave + 0.002 * torch.randn(BINS, width)
