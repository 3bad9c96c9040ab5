"""What a training run is made of, and its checkpoint: the model, the training-only head, the optimizer and the counters."""
from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import nn

from folder import CHECKPOINT, read_weights
from losses import order_locations
from model import Florence2
from profiles import Profile
from sight import sight_head
from tokens import Tokenizer
from weights import load_weights

WEIGHT_DECAY = 0.02


@dataclass
class Progress:
    step: int = 0
    minutes: float = 0.0  # of training, over all sittings
    samples: int = 0  # questions answered, over all processes


@dataclass
class TrainingRun:
    model: Florence2
    head: nn.Linear
    optimizer: torch.optim.AdamW
    progress: Progress = field(default_factory=Progress)

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [*self.model.parameters(), *self.head.parameters()]

    def save(self, folder: Path, minutes: float) -> None:
        """Writes the checkpoint beside its place, then moves it there: a run cut off while it saves keeps its last one."""
        saved = {"model": self.model.state_dict(), "head": self.head.state_dict(), "opt": self.optimizer.state_dict(),
                 "state": {**asdict(self.progress), "minutes": minutes}}
        torch.save(saved, folder / f"{CHECKPOINT}.part")
        (folder / f"{CHECKPOINT}.part").replace(folder / CHECKPOINT)


def open_run(folder: Path, profile: Profile, tokenizer: Tokenizer, *, device: str, init: Path | None) -> TrainingRun:
    """The run in a folder where it stopped, or a new one, from `init`'s weights where given."""
    model = Florence2(profile.config(tokenizer.size))
    order_locations(model, tokenizer.first_location)
    model.to(device)
    head = sight_head(profile.width).to(device)
    run = TrainingRun(model, head, make_optimizer([*model.parameters(), *head.parameters()], profile.learning_rate))
    if (folder / CHECKPOINT).exists():
        saved = torch.load(folder / CHECKPOINT, map_location=device)
        model.load_state_dict(saved["model"])
        head.load_state_dict(saved["head"])
        run.optimizer.load_state_dict(saved["opt"])
        run.progress = Progress(**saved["state"])
    elif init:
        load_weights(model, read_weights(init))
    return run


def make_optimizer(parameters: list[nn.Parameter], learning_rate: float) -> torch.optim.AdamW:
    """AdamW that does not decay biases and norms."""
    groups = [{"params": [p for p in parameters if p.ndim > 1], "weight_decay": WEIGHT_DECAY},
              {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0}]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98))
