"""Low-rank adapters (LoRA): a linear layer's weights stay, and r x (in + out) numbers beside them are trained."""
from __future__ import annotations

import math
from typing import Callable

import torch
from torch import Tensor, nn


class LoraLinear(nn.Module):
    """base(x) + alpha / r * B(A(x)). B starts at zero: nothing changes before the first step."""

    def __init__(self, base: nn.Linear, r: int, alpha: float):
        super().__init__()
        self.base, self.scale = base.requires_grad_(False), alpha / r
        self.down = nn.Parameter(torch.empty(r, base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, r))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + (x @ self.down.t()) @ self.up.t() * self.scale

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The base layer, the adapter's change added to its weights."""
        self.base.weight += self.up @ self.down * self.scale
        return self.base


def add_adapters(model: nn.Module, r: int, alpha: float) -> None:
    """Freezes the model and puts an adapter on each of its linear layers."""
    model.requires_grad_(False)
    replace_layers(model, nn.Linear, lambda layer: LoraLinear(layer, r, alpha))


def merge_adapters(model: nn.Module) -> None:
    """Takes the adapters off again, what they learned kept in the weights."""
    replace_layers(model, LoraLinear, LoraLinear.merged)


def replace_layers(module: nn.Module, kind: type[nn.Module], make: Callable[[nn.Module], nn.Module]) -> None:
    """Puts `make(layer)` in the place of every layer of a kind."""
    for name, child in module.named_children():
        if isinstance(child, kind):
            setattr(module, name, make(child))
        else:
            replace_layers(child, kind, make)
