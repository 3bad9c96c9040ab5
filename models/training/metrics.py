"""How right a set of answers is, task by task. models/evaluation/README.md defines every figure; keep the two the same."""
from __future__ import annotations

import re
from typing import Callable, Iterable, Sequence

import numpy as np

from geometry import Box, bounds, inside, iou
from locations import BINS, read_boxes, read_points

RIGHT_IOU = 0.5
MASK_CELLS = 256
LABELLED = re.compile(r"([^<]*)((?:<loc_\d+>)+)")

# What is compared: the text itself, its part before the region, labelled boxes, text with quads, one polygon.
TEXT = ("CAPTION", "DETAILED_CAPTION", "MORE_DETAILED_CAPTION", "OCR", "VQA")
REGION_TEXT = ("REGION_TO_CATEGORY", "REGION_TO_DESCRIPTION", "REGION_TO_OCR")
BOXES = ("OD", "DENSE_REGION_CAPTION", "REGION_PROPOSAL", "CAPTION_TO_PHRASE_GROUNDING", "OPEN_VOCABULARY_DETECTION")
QUADS = ("OCR_WITH_REGION",)
POLYGON = ("REFERRING_EXPRESSION_SEGMENTATION", "REGION_TO_SEGMENTATION")

LabelledBox = tuple[str, Box]


def score(task: str, wanted: Sequence[str], given: Sequence[str]) -> dict[str, float]:
    """Figures of one task, 0..1, for its right answers and the model's."""
    if task in TEXT:
        return {"exact": share(want.strip() == give.strip() for want, give in zip(wanted, given))}
    if task in REGION_TEXT:
        return {"exact": share(region_text(want) == region_text(give) for want, give in zip(wanted, given))}
    if task in POLYGON:
        return {"iou": share(mask_iou(want, give) for want, give in zip(wanted, given))}
    read = read_quads if task in QUADS else read_labelled_boxes
    return detection(read, wanted, given)


def detection(read: Callable[[str], list[LabelledBox]], wanted: Sequence[str], given: Sequence[str]) -> dict[str, float]:
    """Recall and precision at IoU 0.5, and the mean IoU over all wanted boxes, 0 for one that was not found."""
    right = wants = gives = 0
    quality = 0.0
    for want, give in zip(wanted, given):
        wanted_boxes, given_boxes = read(want), read(give)
        ious = match(wanted_boxes, given_boxes)
        wants, gives = wants + len(wanted_boxes), gives + len(given_boxes)
        right += sum(value >= RIGHT_IOU for value in ious)
        quality += sum(ious)
    return {"recall": ratio(right, wants), "precision": ratio(right, gives), "iou": ratio(quality, wants)}


def match(wanted: Sequence[LabelledBox], given: Sequence[LabelledBox]) -> list[float]:
    """IoUs of pairs with the same label, the best pair first; each box is in one pair at most."""
    pairs = [(iou(want[1], give[1]), i, j) for i, want in enumerate(wanted) for j, give in enumerate(given) if want[0] == give[0]]
    ious: list[float] = []
    used_wanted: set[int] = set()
    used_given: set[int] = set()
    for value, i, j in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
        if value > 0 and i not in used_wanted and j not in used_given:
            ious.append(value)
            used_wanted.add(i)
            used_given.add(j)
    return ious


def read_labelled_boxes(text: str) -> list[LabelledBox]:
    return [(label.strip(), box) for label, run in LABELLED.findall(text) for box in read_boxes(run)]


def read_quads(text: str) -> list[LabelledBox]:
    """Printed words with the box around their four corners; a word with fewer corners is dropped."""
    found = [(label.strip(), read_points(run)[:4]) for label, run in LABELLED.findall(text)]
    return [(label, bounds(quad)) for label, quad in found if len(quad) == 4]


def region_text(text: str) -> str:
    """A region's text; its own locations may follow."""
    return text.split("<loc_", 1)[0].strip()


def mask_iou(want: str, give: str) -> float:
    a, b = (inside(read_points(text), BINS, MASK_CELLS) for text in (want, give))
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 0.0


def share(values: Iterable[float]) -> float:
    """The mean; for truth values, how many are true."""
    values = list(values)
    return ratio(float(sum(values)), len(values))


def ratio(part: float, whole: float) -> float:
    """Rounded to 4 places; 0 of nothing is 0."""
    return round(part / whole, 4) if whole else 0.0
