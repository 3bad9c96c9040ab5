"""Florence-2's location tokens: each axis of the picture cut into 1000 bins, `<loc_0>` to `<loc_999>`."""
from __future__ import annotations

import re
from typing import Sequence

from geometry import Box, Point

BINS = 1000
LOCATION = re.compile(r"<loc_(\d+)>")


def bin_of(value: float, size: float) -> int:
    """The bin of a coordinate on an axis of `size` pixels."""
    return int(min(max(value / size * BINS, 0), BINS - 1))


def point_tokens(points: Sequence[Point], width: float, height: float) -> str:
    return "".join(f"<loc_{bin_of(x, width)}><loc_{bin_of(y, height)}>" for x, y in points)


def box_tokens(box: Box, width: float, height: float) -> str:
    return point_tokens([box[:2], box[2:]], width, height)


def read_points(text: str) -> list[Point]:
    """The points of a text's locations, x and y by turns, each the middle of its bin (0.5 to 999.5). An odd last number
    is dropped."""
    bins = [int(number) + 0.5 for number in LOCATION.findall(text)]
    return list(zip(bins[0::2], bins[1::2]))


def read_boxes(text: str) -> list[Box]:
    """The boxes of a text's locations, four numbers each; an unfinished last box is dropped."""
    points = read_points(text)
    return [(*first, *second) for first, second in zip(points[0::2], points[1::2])]
