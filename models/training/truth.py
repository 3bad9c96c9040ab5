"""A scene's ground truth as JSON, in the names of the API: pixels of the picture, named fields."""
from __future__ import annotations

from geometry import Point
from scenes import Scene


def scene_truth(scene: Scene) -> dict:
    """Width and height, things from left to right, words from top to bottom."""
    return {
        "width": scene.width,
        "height": scene.height,
        "things": [{"category": thing.category, "size": thing.size, "box": box_fields(thing.box),
                    "polygon": [point_fields(point) for point in thing.polygon]} for thing in scene.things],
        "words": [{"text": word.text, "quad": [point_fields(point) for point in word.quad]} for word in scene.words],
    }


def box_fields(box: tuple) -> dict[str, float]:
    return {name: tenths(value) for name, value in zip(("x0", "y0", "x1", "y1"), box)}


def point_fields(point: Point) -> dict[str, float]:
    return {name: tenths(value) for name, value in zip("xy", point)}


def tenths(value: float) -> float:
    """Rounded to a tenth of a pixel; numpy's numbers become Python's, which JSON can write."""
    return round(float(value), 1)
