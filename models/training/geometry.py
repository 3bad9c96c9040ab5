"""Boxes (x0, y0, x1, y1) and polygons [(x, y), ...] in pixels, x to the right and y down."""
from __future__ import annotations

import math
from typing import Sequence

import numpy as np

Point = tuple[float, float]
Box = tuple[float, float, float, float]


def area(box: Box) -> float:
    """Area of a box; negative sides count as none."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def ring_area(polygon: Sequence[Point]) -> float:
    """Area inside a ring that does not cross itself."""
    following = [*polygon[1:], *polygon[:1]]
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(polygon, following))) / 2


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes; 0 where they do not overlap."""
    shared = area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
    return shared / (area(a) + area(b) - shared) if shared > 0 else 0.0


def bounds(points: Sequence[Point]) -> Box:
    """The smallest box around points."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return (min(xs), min(ys), max(xs), max(ys))


def outline(alpha: np.ndarray, points: int = 16) -> list[Point]:
    """Star-shaped outline of an opaque blob, alpha (H, W) uint8: its farthest opaque pixel from the centroid in each of
    `points` directions, clockwise from straight up."""
    ys, xs = np.nonzero(alpha > 127)
    cx, cy = xs.mean() + 0.5, ys.mean() + 0.5
    angle = np.arctan2(ys + 0.5 - cy, xs + 0.5 - cx)
    radius = np.hypot(ys + 0.5 - cy, xs + 0.5 - cx)
    direction = np.round((angle + math.pi / 2) / (2 * math.pi) * points).astype(int) % points
    result = []
    for k in range(points):
        reach = radius[direction == k].max(initial=0.0) or 1.0
        theta = 2 * math.pi * k / points - math.pi / 2
        result.append((cx + reach * math.cos(theta), cy + reach * math.sin(theta)))
    return result


def inside(polygon: Sequence[Point], extent: float, cells: int) -> np.ndarray:
    """(cells, cells) bool: which cell centres of a grid over 0..extent lie inside a polygon, by the even-odd rule."""
    centre = (np.arange(cells) + 0.5) * extent / cells
    x, y = centre[None, :], centre[:, None]
    result = np.zeros((cells, cells), bool)
    for (x0, y0), (x1, y1) in zip(polygon, [*polygon[1:], *polygon[:1]]):
        if y0 != y1:
            crosses = (y0 > y) != (y1 > y)
            result ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return result
