from __future__ import annotations

import unittest

import training_path  # noqa: F401
import numpy as np

from geometry import bounds, inside, iou, ring_area
from scenes import Scene, SceneMaker
from sight import NOTHING, UNREAD, cell_targets

MAKER = SceneMaker()


def scenes(count: int, size: int = 128) -> list[Scene]:
    rng = np.random.default_rng([5, 0, 2])
    return [MAKER.squeezed(rng, size) for _ in range(count)]


class SceneTest(unittest.TestCase):
    def test_the_same_seed_draws_the_same_scene(self):
        first, second = (MAKER.squeezed(np.random.default_rng([7, 0, 2]), 128) for _ in range(2))
        self.assertTrue((first.image == second.image).all())
        self.assertEqual((first.things, first.words), (second.things, second.words))

    def test_another_seed_draws_another_scene(self):
        first, second = (MAKER.squeezed(np.random.default_rng([seed, 0, 2]), 128) for seed in (7, 8))
        self.assertFalse((first.image == second.image).all())

    def test_everything_lies_inside_the_picture(self):
        for scene in scenes(60):
            points = [point for thing in scene.things for point in thing.polygon] + [point for word in scene.words for point in word.quad]
            points += [corner for thing in scene.things for corner in (thing.box[:2], thing.box[2:])]
            for x, y in points:
                self.assertTrue(0 <= x <= scene.width and 0 <= y <= scene.height, (x, y))

    def test_an_outline_lies_in_its_box_and_fills_much_of_it(self):
        for thing in (thing for scene in scenes(30) for thing in scene.things):
            self.assertGreater(iou(bounds(thing.polygon), thing.box), 0.6, thing.category)
            self.assertGreater(ring_area(thing.polygon), 0)

    def test_things_hardly_overlap_and_words_never(self):
        for scene in scenes(40):
            boxes = [thing.box for thing in scene.things]
            self.assertTrue(all(iou(a, b) < 0.05 for i, a in enumerate(boxes) for b in boxes[:i]))
            self.assertTrue(all(iou(word.box, box) == 0 for word in scene.words for box in boxes))

    def test_no_scene_is_empty(self):
        self.assertTrue(all(scene.things or scene.words for scene in scenes(60)))

    def test_every_thing_and_word_has_cells(self):
        for scene in scenes(30):
            cells = cell_targets(scene, 8)
            self.assertEqual(bool(scene.words), bool((cells.texts != UNREAD).any()))
            self.assertTrue((cells.kinds != NOTHING).any())


class GeometryTest(unittest.TestCase):
    def test_a_square_covers_its_share_of_the_grid(self):
        self.assertEqual(inside([(0, 0), (500, 0), (500, 1000), (0, 1000)], 1000, 256).mean(), 0.5)

    def test_fewer_than_three_points_cover_nothing(self):
        self.assertFalse(inside([(0, 0), (900, 900)], 1000, 64).any())


if __name__ == "__main__":
    unittest.main()
