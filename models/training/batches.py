"""Endless batches of scenes with several questions each: a picture is encoded once for all of its questions."""
from __future__ import annotations

from typing import Iterator, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from config import PAD
from pixels import from_array
from scenes import SceneMaker
from sight import CellTargets, cell_targets
from tasks import TASKS, ask
from tokens import Tokenizer

# How often each task is asked. Reading is the hardest to learn, then the captions, which tell all of a scene in order.
SHARES = {
    "CAPTION": 5, "DETAILED_CAPTION": 3, "MORE_DETAILED_CAPTION": 2, "OD": 3, "DENSE_REGION_CAPTION": 2,
    "REGION_PROPOSAL": 2, "CAPTION_TO_PHRASE_GROUNDING": 2, "OPEN_VOCABULARY_DETECTION": 2,
    "REFERRING_EXPRESSION_SEGMENTATION": 2, "REGION_TO_SEGMENTATION": 2, "REGION_TO_CATEGORY": 1,
    "REGION_TO_DESCRIPTION": 1, "OCR": 4, "OCR_WITH_REGION": 4, "REGION_TO_OCR": 6, "VQA": 1,
}
assert SHARES.keys() == TASKS.keys()

Ids = list[int]


class Item(NamedTuple):
    image: Tensor  # (3, H, W) uint8
    cells: CellTargets
    questions: list[tuple[Ids, Ids]]  # prompt and answer


class Batch(NamedTuple):
    images: Tensor  # (B, 3, H, W) uint8
    cells: CellTargets
    prompt: Tensor  # (B * questions, T)
    answer: Tensor  # (B * questions, T)

    def to(self, device: str) -> Batch:
        cells = CellTargets(*(part.to(device) for part in self.cells))
        return Batch(self.images.to(device), cells, self.prompt.to(device), self.answer.to(device))


class SceneQuestions(IterableDataset):
    """Each worker process draws scenes of its own, from `entropy` with its own number in the second place."""

    def __init__(self, scenes: SceneMaker, tokenizer: Tokenizer, *, image_size: int, grid: int, questions: int, entropy: list[int]):
        self.scenes, self.tokenizer = scenes, tokenizer
        self.image_size, self.grid, self.questions, self.entropy = image_size, grid, questions, entropy

    def __iter__(self) -> Iterator[Item]:
        worker = get_worker_info()
        rng = np.random.default_rng([self.entropy[0], worker.id if worker else 0, *self.entropy[1:]])
        names, shares = list(SHARES), np.array(list(SHARES.values())) / sum(SHARES.values())
        while True:
            scene = self.scenes.squeezed(rng, self.image_size)
            questions: list[tuple[Ids, Ids]] = []
            while len(questions) < self.questions:
                question = ask(scene, names[int(rng.choice(len(names), p=shares))], rng)
                if question:
                    questions.append((self.tokenizer.encode(question.prompt), self.tokenizer.encode(question.answer)))
            yield Item(from_array(scene.image), cell_targets(scene, self.grid), questions)


def load_batches(data: SceneQuestions, scenes: int, workers: int) -> Iterator[Batch]:
    """Batches of `scenes` pictures, drawn by worker processes where there are any."""
    ahead = {"prefetch_factor": 4, "persistent_workers": True} if workers else {}
    return iter(DataLoader(data, batch_size=scenes, num_workers=workers, collate_fn=collate, **ahead))


def collate(items: list[Item]) -> Batch:
    questions = [question for item in items for question in item.questions]
    cells = CellTargets(*(torch.from_numpy(np.stack(parts)) for parts in zip(*(item.cells for item in items))))
    return Batch(torch.stack([item.image for item in items]), cells, padded([prompt for prompt, _ in questions]),
                 padded([answer for _, answer in questions]))


def padded(rows: list[Ids]) -> Tensor:
    """(B, T): rows of ids, filled up with <pad>."""
    longest = max(map(len, rows))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])
