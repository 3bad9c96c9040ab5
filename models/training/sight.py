"""Dense supervision of the vision tower: what every cell of its grid shows.

Training only. It teaches the tower to see long before the decoder could: without it, 150,000 samples left the picture ignored.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from catalogue import CATEGORIES, WORDS
from scenes import Scene

NOTHING, PRINTED = 0, len(CATEGORIES) + 1  # kinds: nothing, the categories, printed text
KINDS = len(CATEGORIES) + 2
TEXTS = [*WORDS, *(str(number) for number in range(1, 100))]  # everything that scenes say
UNREAD = -1


class CellTargets(NamedTuple):
    """One picture's cells (G, G), or a batch's (B, G, G)."""
    kinds: np.ndarray | Tensor  # int64
    boxes: np.ndarray | Tensor  # float32 (…, 4): the box a cell belongs to, 0..1
    texts: np.ndarray | Tensor  # int64: index of the word printed there, or UNREAD


def cell_targets(scene: Scene, grid: int) -> CellTargets:
    """The targets of a square scene's grid x grid cells. Where boxes overlap, things hide words and later things earlier ones."""
    names = list(CATEGORIES)
    targets = CellTargets(np.full((grid, grid), NOTHING, np.int64), np.zeros((grid, grid, 4), np.float32),
                          np.full((grid, grid), UNREAD, np.int64))
    marks = [(PRINTED, word.box, TEXTS.index(word.text)) for word in scene.words]
    marks += [(names.index(thing.category) + 1, thing.box, UNREAD) for thing in scene.things]
    for kind, box, text in marks:
        columns, rows = cell_span(box[0], box[2], scene.width / grid, grid), cell_span(box[1], box[3], scene.width / grid, grid)
        targets.kinds[rows, columns] = kind
        targets.boxes[rows, columns] = np.array(box, np.float32) / scene.width
        targets.texts[rows, columns] = text
    return targets


def cell_span(start: float, end: float, cell: float, grid: int) -> slice:
    """The cells that an extent covers by more than a quarter, at least one."""
    first = round(start / cell - 0.25)
    return slice(int(max(0, first)), int(min(grid, max(round(end / cell + 0.25), first + 1))))


def sight_head(width: int) -> nn.Linear:
    """Image feature -> scores of the kinds, a box, scores of the texts."""
    return nn.Linear(width, KINDS + 4 + len(TEXTS))


def sight_losses(head: nn.Linear, features: Tensor, targets: CellTargets) -> tuple[Tensor, Tensor]:
    """Losses of seeing (kind and box) and of reading, for image features (B, 1 + G*G, D)."""
    kind_scores, box_scores, text_scores = head(features[:, 1:]).float().split([KINDS, 4, len(TEXTS)], -1)
    kinds, boxes, texts = targets.kinds.flatten(1), targets.boxes.flatten(1, 2), targets.texts.flatten(1)
    weight = torch.ones(KINDS, device=features.device)
    weight[NOTHING] = 0.3
    kind_loss = F.cross_entropy(kind_scores.flatten(0, 1), kinds.flatten(), weight)
    occupied, printed = kinds != NOTHING, texts != UNREAD
    box_loss = F.smooth_l1_loss(box_scores[occupied].sigmoid(), boxes[occupied], beta=0.05) if occupied.any() else 0.0
    read_loss = F.cross_entropy(text_scores[printed], texts[printed]) if printed.any() else text_scores.sum() * 0
    return kind_loss + 4 * box_loss, read_loss
